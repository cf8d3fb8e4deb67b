/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "get/url.h"

static void the_parts_of_a_url_are_found_rfc3986_3(void **state)
{
    static const struct {
        const char *text, *host, *target;
        uint16_t port;
    } cases[] = {
        {"http://10.7.0.1", "10.7.0.1", "/", 80},
        {"http://10.7.0.1/", "10.7.0.1", "/", 80},
        {"HTTP://example.org:8080/a/b?c=d&e#f", "example.org", "/a/b?c=d&e", 8080},
        {"http://h?q", "h", "/?q", 80},
        {"http://h#top", "h", "/", 80},
        {"http://h:/x", "h", "/x", 80},
        {"http://h:65535/%20", "h", "/%20", 65535},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct url url;
        assert_null(url_parse(&url, cases[i].text));
        assert_string_equal(url.host, cases[i].host);
        assert_string_equal(url.target, cases[i].target);
        assert_int_equal(url.port, cases[i].port);
    }
}

static void what_is_no_url_is_refused_in_words(void **state)
{
    static const char *const cases[][2] = {
        {"10.7.0.1/", "begins with http://"},
        {"", "begins with http://"},
        {"https://h/", "only http://"},
        {"ftp://h/", "only http://"},
        {"http://", "host is missing"},
        {"http:///x", "host is missing"},
        {"http://:80/", "host is missing"},
        {"http://h:0/", "port"},
        {"http://h:65536/", "port"},
        {"http://h:8o/", "port"},
        {"http://h:99999999999999999999/", "port"},
        {"http://u:p@h/", "passwords"},
        {"http://[::1]/", "IPv6"},
        {"http://h/a b", "%20"},
        {"http://h/\r\nX: y", "%20"},
        {"http://h/\xc3\xa4", "%20"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct url url;
        const char *wrong = url_parse(&url, cases[i][0]);
        if (!wrong || !strstr(wrong, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], wrong ? wrong : "taken");
    }
}

static void a_url_has_room_for_255_and_2047_characters(void **state)
{
    char text[4096];
    struct url url;
    (void)state;
    for (int over = 0; over <= 1; over++) {
        snprintf(text, sizeof(text), "http://%0*d/", 255 + over, 0);
        assert_true((url_parse(&url, text) == NULL) == (over == 0));
        snprintf(text, sizeof(text), "http://h/%0*d", 2046 + over, 0);
        assert_true((url_parse(&url, text) == NULL) == (over == 0));
    }
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_non_null(url_parse(&url, text));
}

static void a_location_is_relative_to_the_url_rfc3986_5_2(void **state)
{
    static const struct {
        const char *location, *host, *target;
        uint16_t port;
    } cases[] = {
        {"http://other:81/x", "other", "/x", 81},
        {"//other/x", "other", "/x", 80},
        {"/x?y", "h", "/x?y", 8080},
        {"x", "h", "/a/x", 8080},
        {"x/y?z", "h", "/a/x/y?z", 8080},
        {"x?u=http://v", "h", "/a/x?u=http://v", 8080},
        {"?z", "h", "/a/b?z", 8080},
        {"#top", "h", "/a/b?c", 8080},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct url url;
        assert_null(url_parse(&url, "http://h:8080/a/b?c"));
        assert_null(url_join(&url, &url, cases[i].location));
        assert_string_equal(url.host, cases[i].host);
        assert_string_equal(url.target, cases[i].target);
        assert_int_equal(url.port, cases[i].port);
    }
}

static void a_location_of_another_scheme_or_with_spaces_is_refused(void **state)
{
    struct url url;
    (void)state;
    assert_null(url_parse(&url, "http://h/"));
    assert_string_equal(url_join(&url, &url, "https://h/"), "only http:// is spoken");
    assert_non_null(url_join(&url, &url, "mailto:x"));
    assert_non_null(url_join(&url, &url, "/a b"));
    assert_string_equal(url.target, "/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_of_a_url_are_found_rfc3986_3),
        cmocka_unit_test(what_is_no_url_is_refused_in_words),
        cmocka_unit_test(a_url_has_room_for_255_and_2047_characters),
        cmocka_unit_test(a_location_is_relative_to_the_url_rfc3986_5_2),
        cmocka_unit_test(a_location_of_another_scheme_or_with_spaces_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
