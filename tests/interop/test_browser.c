/* SPDX-License-Identifier: MIT */
/* A browser without a screen loads a page with forty parts, and says how many of them are right. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"

#define IMAGES  20
#define SCRIPTS 10
#define STYLES  10

/* Each part shows in the title: images by width, scripts by a sum, styles by colour. */
static const char check[] =
    "<script>onload = () => {\n"
    "  const images = [...document.images].filter((m, i) => m.naturalWidth === 10 + i).length;\n"
    "  const styles = [...document.querySelectorAll('i')].filter((e, i) =>\n"
    "      getComputedStyle(e).color === `rgb(${i}, 0, 7)`).length;\n"
    "  document.title = `${images} images, ${sum} by scripts, ${styles} styles`;\n"
    "}</script>\n";

static char root[32];

/* Writes one file of the site, by a format. */
static void __attribute__((format(printf, 2, 3)))
write_part(const char *name, const char *format, ...)
{
    char path[64];
    va_list arguments;
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    va_start(arguments, format);
    assert_true(vfprintf(file, format, arguments) >= 0);
    va_end(arguments);
    assert_int_equal(fclose(file), 0);
}

static void write_site(void)
{
    char name[32], page[8192] = "<!DOCTYPE html>\n<title>none</title>\n<script>sum = 0</script>\n";
    size_t length = strlen(page);
#define ADD(...) (length += (size_t)snprintf(page + length, sizeof(page) - length, __VA_ARGS__))
    for (int i = 0; i < IMAGES; i++) {
        snprintf(name, sizeof(name), "%d.svg", i);
        write_part(name,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"5\"></svg>\n",
                   10 + i);
        ADD("<img src=\"%s\">\n", name);
    }
    for (int i = 0; i < SCRIPTS; i++) {
        snprintf(name, sizeof(name), "%d.js", i);
        write_part(name, "sum += %d;\n", i);
        ADD("<script src=\"%s\"></script>\n", name);
    }
    for (int i = 0; i < STYLES; i++) {
        snprintf(name, sizeof(name), "%d.css", i);
        write_part(name, "#s%d { color: rgb(%d, 0, 7) }\n", i, i);
        ADD("<link rel=\"stylesheet\" href=\"%s\"><i id=\"s%d\"></i>\n", name, i);
    }
    ADD("%s", check);
#undef ADD
    assert_true(length < sizeof(page));
    write_part("index.html", "%s", page);
}

static void a_browser_loads_a_page_with_forty_parts(void **state)
{
    struct program *p = *state;
    char log[64], output[16384];
    snprintf(root, sizeof(root), "/tmp/strait-browser.XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_int_equal(chmod(root, 0755), 0);
    write_site();
    snprintf(log, sizeof(log), "%s/log", root);
    program_start(p, "--root", root, "--access-log", log, NULL);
    /* --no-sandbox: it is root, in a namespace of its own. */
    int status =
        run_command(output, sizeof(output),
                    "timeout 150 chromium-headless-shell --no-sandbox --disable-gpu "
                    "--user-data-dir=%s/profile --dump-dom http://" STRAIT_ADDRESS "/ 2>/dev/null",
                    root);
    assert_int_equal(status, 0);
    const char *title = strstr(output, "<title>");
    if (!title || !strstr(title, "<title>20 images, 45 by scripts, 10 styles</title>"))
        fail_msg("the browser saw: %s", output);
    program_stop(p, SIGTERM);
    /* Browsers open six connections to a host; a slow one may lose some, and opens them again. */
    assert_in_range(program_counter(p, "tcp_connections_accepted"), 1, 20);

    status = run_command(output, sizeof(output), "grep -c '\" 200 ' %s", log);
    assert_int_equal(status, 0);
    assert_string_equal(output, "41\n");
    assert_int_equal(run_command(output, sizeof(output), "rm -rf %s", root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_browser_loads_a_page_with_forty_parts, program_setup,
                                        program_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
