/* SPDX-License-Identifier: MIT */
/*
 * What an embedder writes, in the words that C and C++ share: a host on a link of the embedder's
 * own greets itself over TCP. Ends with status 0 and the greeting on stdout.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <strait.h>
#include <string.h>

#define PORT 7777

static int fail(const char *what)
{
    perror(what);
    return 1;
}

/* A link that leads nowhere: what the host says to itself is not seen on it. */
static int send_nowhere(struct strait_link *link, const struct iovec *parts, int count,
                        const struct strait_offload *offload)
{
    (void)link, (void)parts, (void)count, (void)offload;
    errno = ENETDOWN;
    return -1;
}

static int greet(struct strait *host)
{
    static const char greeting[] = "hello from inside";
    char heard[sizeof(greeting)] = "";
    struct sockaddr_in name;
    memset(&name, 0, sizeof(name));
    name.sin_family = AF_INET;
    name.sin_port = htons(PORT);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    int listener = strait_socket(host, AF_INET, SOCK_STREAM, 0);
    int client = strait_socket(host, AF_INET, SOCK_STREAM, 0);
    if (strait_bind(host, listener, (struct sockaddr *)&name, sizeof(name)) < 0 ||
        strait_listen(host, listener, 1) < 0)
        return fail("listening");
    if (strait_connect(host, client, (struct sockaddr *)&name, sizeof(name)) < 0)
        return fail("connecting");
    int server = strait_accept(host, listener, NULL, NULL);
    if (server < 0)
        return fail("accepting");
    if (strait_send(host, server, greeting, sizeof(greeting), 0) != sizeof(greeting))
        return fail("sending");
    if (strait_recv(host, client, heard, sizeof(heard), 0) != sizeof(greeting))
        return fail("receiving");
    puts(heard);
    return strcmp(heard, greeting) == 0 ? 0 : 1;
}

int main(void)
{
    struct strait_config config;
    struct strait_link link;
    struct in_addr address;
    struct strait_loop *loop = strait_loop_new();
    if (loop == NULL)
        return fail("making the loop");
    struct strait_env *env = strait_loop_env(loop);
    strait_config_init(&config);
    env->random(env, config.secret, sizeof(config.secret));
    memset(&link, 0, sizeof(link));
    link.size = sizeof(link);
    link.name = "nowhere";
    link.mtu = 1500;
    link.fd = -1;
    link.send = send_nowhere;
    address.s_addr = inet_addr("10.7.0.2");
    struct strait *host = strait_new(&config, env);
    if (host == NULL || strait_attach(host, &link, address, 24) < 0 ||
        strait_loop_add(loop, host, &link) < 0)
        return fail("making the host");
    int status = greet(host);
    strait_loop_remove(loop, &link);
    strait_free(host);
    strait_loop_free(loop);
    return status;
}
