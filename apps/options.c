/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings/command.h"
#include "strait.h"

#define MTU_MIN 68 /* RFC 791 */
#define MTU_MAX 65535

#define BUSY_POLL_MAX_US 1000000
#define NS_PER_US        UINT64_C(1000)

#define IMPAIR_ERROR_BYTES 256
#define ERROR_BYTES        512

#define HOST_LETTERS ":v::"
#define ASK_LETTERS  ":"

static const char ask_help[] =
    "\n"
    "Whom it asks:\n"
    "\n"
    "  --tun NAME         the strait serve on this device (default: tun0)\n"
    "  --control PATH     the strait that was given this path\n"
    "  --help             this text\n";

static const char host_help[] =
    "\n"
    "The host that it is:\n"
    "\n"
    "  --tun NAME         the device, made if need be (default: tun0)\n"
    "  --addr ADDR/BITS   the host's IPv4 address and the size of its network, 10.7.0.2/24\n"
    "  --peer ADDR        the kernel's address on the device, 10.7.0.1; without it the device\n"
    "                     keeps the address that it has\n"
    "  --mtu N            largest packet in bytes, 68 to 65535 (default: the device's, or 1500)\n"
    "  --no-offload       packets as they would be on a wire: no checksum or segmentation offload\n"
    "  --busy-poll USEC   asks the device for packets for so long before it sleeps: answers\n"
    "                     sooner, at the cost of a processor (default: 0)\n"
    "  --impair KEY=VALUE,...\n"
    "                     a bad path, the same in both directions: delay=20ms, jitter=5ms,\n"
    "                     rate=100mbit, queue=64kb, ecn=30kb, loss=1%, duplicate=1%, reorder=5%,\n"
    "                     corrupt=0.1%, burst=0.1%/20%/50% (to enter, to leave, loss within)\n"
    "  --set NAME=VALUE   changes a setting; as often as needed. strait settings lists them\n"
    "  --capture FILE     writes all packets to a file for tcpdump -r or wireshark\n"
    "  --filter EXPR      captures only what matches, in the language of pcap-filter(7)\n"
    "  --trace FILE       writes what TCP does, for scripts/plot: cwnd, RTT, windows, segments\n"
    "  --control PATH     the UNIX socket for strait stat and strait set; none (serve: by default\n"
    "                     /run/strait/TUN/control; other commands: none)\n"
    "  -v, --verbose[=CATEGORY,...]\n"
    "                     says what happens: link, ip, icmp, udp, tcp, socket (default: all)\n"
    "  --help             this text\n"
    "\n"
    "Started as root it goes on as the user who called sudo, else as nobody, once the device is\n"
    "open.\n";

enum {
    OPT_TUN = UCHAR_MAX + 1,
    OPT_ADDR,
    OPT_PEER,
    OPT_MTU,
    OPT_NO_OFFLOAD,
    OPT_BUSY_POLL,
    OPT_IMPAIR,
    OPT_SET,
    OPT_CAPTURE,
    OPT_FILTER,
    OPT_TRACE,
    OPT_CONTROL,
    OPT_HELP
};

/* Of all commands; and of those that are a host. */
static const struct option common_options[] = {
    {"tun", required_argument, NULL, OPT_TUN},
    {"control", required_argument, NULL, OPT_CONTROL},
    {"help", no_argument, NULL, OPT_HELP},
};
static const struct option host_options[] = {
    {"addr", required_argument, NULL, OPT_ADDR},
    {"peer", required_argument, NULL, OPT_PEER},
    {"mtu", required_argument, NULL, OPT_MTU},
    {"no-offload", no_argument, NULL, OPT_NO_OFFLOAD},
    {"busy-poll", required_argument, NULL, OPT_BUSY_POLL},
    {"impair", required_argument, NULL, OPT_IMPAIR},
    {"set", required_argument, NULL, OPT_SET},
    {"capture", required_argument, NULL, OPT_CAPTURE},
    {"filter", required_argument, NULL, OPT_FILTER},
    {"trace", required_argument, NULL, OPT_TRACE},
    {"verbose", optional_argument, NULL, 'v'},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int options_fail(const struct report *report, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->error, report->error_bytes, format, arguments);
    va_end(arguments);
    return -1;
}

bool options_number(const char *text, long max, long *value)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *value = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && *value <= max;
}

bool options_seconds(const char *text, long max, uint64_t *ns)
{
    char *end;
    if (!isdigit((unsigned char)*text) || text[strspn(text, "0123456789.")] != '\0')
        return false;
    errno = 0;
    double seconds = strtod(text, &end);
    if (errno != 0 || *end != '\0' || !(seconds <= (double)max))
        return false;
    *ns = (uint64_t)(seconds * 1e9);
    return true;
}

/* Whether a host can have the address: not 0/8, loopback, multicast or reserved (RFC 6890). */
static bool is_host_address(struct in_addr address)
{
    uint32_t a = ntohl(address.s_addr);
    return a >> 24 != 0 && a >> 24 != IN_LOOPBACKNET && a < 0xe0000000;
}

static int parse_addr(const char *text, struct options *o, const struct report *report)
{
    char address[INET_ADDRSTRLEN];
    long bits;
    const char *slash = strchr(text, '/');
    if (!slash)
        return options_fail(
            report, "--addr %s: the size of the network is missing; write it as %s/24", text, text);
    size_t length = (size_t)(slash - text);
    if (length >= sizeof(address))
        return options_fail(report, "--addr %s: not an IPv4 address; write it as 10.7.0.2/24",
                            text);
    memcpy(address, text, length);
    address[length] = '\0';
    if (inet_pton(AF_INET, address, &o->addr) != 1)
        return options_fail(report, "--addr %s: not an IPv4 address; write it as 10.7.0.2/24",
                            text);
    if (!options_number(slash + 1, 32, &bits) || bits < 1)
        return options_fail(report, "--addr %s: the prefix must be a number from 1 to 32", text);
    o->prefix_bits = (int)bits;
    if (!is_host_address(o->addr))
        return options_fail(
            report, "--addr %s: no host can have this address; take one like 10.7.0.2/24", text);
    return 0;
}

static int parse_peer(const char *text, struct options *o, const struct report *report)
{
    if (inet_pton(AF_INET, text, &o->peer) != 1)
        return options_fail(report, "--peer %s: not an IPv4 address; write it as 10.7.0.1", text);
    if (!is_host_address(o->peer))
        return options_fail(
            report, "--peer %s: no host can have this address; take one like 10.7.0.1", text);
    return 0;
}

static int parse_mtu(const char *text, struct options *o, const struct report *report)
{
    long mtu;
    if (!options_number(text, MTU_MAX, &mtu) || mtu < MTU_MIN)
        return options_fail(report, "--mtu %s: must be a number of bytes from %d to %d", text,
                            MTU_MIN, MTU_MAX);
    o->mtu = (uint32_t)mtu;
    return 0;
}

static int parse_busy_poll(const char *text, struct options *o, const struct report *report)
{
    long us;
    if (!options_number(text, BUSY_POLL_MAX_US, &us))
        return options_fail(report, "--busy-poll %s: must be a number of microseconds from 0 to %d",
                            text, BUSY_POLL_MAX_US);
    o->busy_poll_ns = (uint64_t)us * NS_PER_US;
    return 0;
}

/* The category called by `length` characters; 0 if there is none. */
static uint32_t category(const char *name, size_t length)
{
    static const struct {
        const char *name;
        uint32_t bits;
    } categories[] = {
        {"link", STRAIT_LOG_LINK}, {"ip", STRAIT_LOG_IP},   {"icmp", STRAIT_LOG_ICMP},
        {"udp", STRAIT_LOG_UDP},   {"tcp", STRAIT_LOG_TCP}, {"socket", STRAIT_LOG_SOCKET},
        {"all", STRAIT_LOG_ALL},
    };
    for (size_t i = 0; i < COUNT(categories); i++)
        if (strlen(categories[i].name) == length && memcmp(categories[i].name, name, length) == 0)
            return categories[i].bits;
    return 0;
}

/* `text` is a list of categories, after the "=" that the short option leaves in; NULL is all. */
static int parse_verbose(const char *text, struct options *o, const struct report *report)
{
    if (!text) {
        o->log_categories = STRAIT_LOG_ALL;
        return 0;
    }
    if (*text == '=')
        text++;
    for (;;) {
        size_t length = strcspn(text, ",");
        uint32_t bits = category(text, length);
        if (bits == 0)
            return options_fail(
                report, "-v: no category \"%.*s\"; there are link, ip, icmp, udp, tcp, socket, all",
                (int)length, text);
        o->log_categories |= bits;
        if (text[length] == '\0')
            return 0;
        text += length + 1;
    }
}

static int parse_impair(const char *text, struct options *o, const struct report *report)
{
    char why[IMPAIR_ERROR_BYTES];
    if (impair_parse(text, &o->impair, why, sizeof(why)) < 0)
        return options_fail(report, "--impair: %s", why);
    o->impaired = true;
    return 0;
}

/* "-" is refused, since stdout is for what the command says. */
static int check_file(const char *option, const char *value, const struct report *report)
{
    if (strcmp(value, "-") == 0)
        return options_fail(report, "%s -: stdout has another use; name a file or a pipe", option);
    return 0;
}

/* One of the options that are not the command's own. */
static int take_common(int option, char *value, struct options *o, const struct report *report)
{
    switch (option) {
    case OPT_TUN:
        o->tun = value;
        return 0;
    case OPT_ADDR:
        return parse_addr(value, o, report);
    case OPT_PEER:
        return parse_peer(value, o, report);
    case OPT_MTU:
        return parse_mtu(value, o, report);
    case OPT_NO_OFFLOAD:
        o->no_offload = true;
        return 0;
    case OPT_BUSY_POLL:
        return parse_busy_poll(value, o, report);
    case OPT_IMPAIR:
        return parse_impair(value, o, report);
    case OPT_SET:
        return settings_take(value, &o->config, report);
    case OPT_CAPTURE:
        o->capture = value;
        return check_file("--capture", value, report);
    case OPT_FILTER:
        o->filter = value;
        return 0;
    case OPT_TRACE:
        o->trace = value;
        return check_file("--trace", value, report);
    case OPT_CONTROL:
        o->control = value;
        return 0;
    case 'v':
        return parse_verbose(value, o, report);
    default:
        o->help = true;
        return 0;
    }
}

/* The first or the last address of a network of more than two is no host's (RFC 1122 3.2.1.3). */
static bool is_network_or_broadcast(struct in_addr address, int prefix_bits)
{
    if (prefix_bits > 30)
        return false;
    uint32_t host_mask = UINT32_MAX >> prefix_bits;
    uint32_t host = ntohl(address.s_addr) & host_mask;
    return host == 0 || host == host_mask;
}

/* What concerns several options. */
static int check_together(const struct command *command, const struct options *o,
                          const struct report *report)
{
    if (o->addr.s_addr == 0 && command->host_optional && !o->host)
        return 0;
    if (o->addr.s_addr == 0)
        return options_fail(report, "--addr is missing; say for example --addr 10.7.0.2/24");
    if (is_network_or_broadcast(o->addr, o->prefix_bits))
        return options_fail(
            report, "--addr: the first and the last address of a network belong to no host");
    if (o->filter && !o->capture)
        return options_fail(report, "--filter needs --capture FILE");
    if (o->peer.s_addr == 0)
        return 0;
    if (o->peer.s_addr == o->addr.s_addr)
        return options_fail(report, "--peer must be another address than --addr");
    uint32_t mask = UINT32_MAX << (32 - o->prefix_bits);
    if ((ntohl(o->peer.s_addr) ^ ntohl(o->addr.s_addr)) & mask)
        return options_fail(report, "--peer is not in the network of --addr (/%d)", o->prefix_bits);
    if (is_network_or_broadcast(o->peer, o->prefix_bits))
        return options_fail(
            report, "--peer: the first and the last address of a network belong to no host");
    return 0;
}

/* The options that the command has itself, and those that all have, as getopt_long wants them. */
struct vocabulary {
    struct option options[COMMAND_OPTIONS_MAX + COUNT(common_options) + COUNT(host_options) + 1];
    char letters[sizeof(HOST_LETTERS) + COMMAND_LETTERS_MAX];
};

static struct vocabulary vocabulary_of(const struct command *command)
{
    struct vocabulary v = {0};
    size_t count = 0;
    while (count < COMMAND_OPTIONS_MAX && command->options[count].name) {
        v.options[count] = command->options[count];
        count++;
    }
    memcpy(v.options + count, common_options, sizeof(common_options));
    if (!command->asks)
        memcpy(v.options + count + COUNT(common_options), host_options, sizeof(host_options));
    snprintf(v.letters, sizeof(v.letters), "%s%s", command->asks ? ASK_LETTERS : HOST_LETTERS,
             command->letters);
    return v;
}

/* What getopt_long has to say of a word that it does not understand. */
static int refuse(const struct command *command, int option, const char *word,
                  const struct report *report)
{
    if (option == ':')
        return options_fail(report, "%s needs a value; see strait %s --help", word, command->name);
    if (optopt > 0 && optopt <= UCHAR_MAX)
        return options_fail(report, "unknown option -%c; see strait %s --help", optopt,
                            command->name);
    return options_fail(report, "unknown option %s; see strait %s --help", word, command->name);
}

/* The words that are no options. */
static int take_operands(const struct command *command, int argc, char *argv[], struct options *o,
                         const struct report *report)
{
    o->operands = argv + optind;
    o->operand_count = argc - optind;
    if (o->operand_count > command->operands_max)
        return options_fail(report, "unexpected \"%s\"; see strait %s --help",
                            o->operands[command->operands_max], command->name);
    return 0;
}

int options_parse(const struct command *command, int argc, char *argv[], struct options *o,
                  void *settings, char *error, size_t error_bytes)
{
    const struct report report = {error, error_bytes};
    const struct vocabulary v = vocabulary_of(command);
    *o = (struct options){.tun = "tun0", .controlled = command->controlled};
    strait_config_init(&o->config);
    opterr = 0;
    optind = 0; /* GNU: forget what an earlier parse has left */
    for (;;) {
        int option = getopt_long(argc, argv, v.letters, v.options, NULL);
        if (option == -1)
            break;
        if (option == ':' || option == '?')
            return refuse(command, option, argv[optind - 1], &report);
        bool common = option == 'v' || (option >= OPT_TUN && option <= OPT_HELP);
        o->host = o->host || common;
        int result = common ? take_common(option, optarg, o, &report)
                            : command->take(settings, option, optarg, &report);
        if (result < 0)
            return -1;
        if (o->help)
            return 0;
    }
    if (take_operands(command, argc, argv, o, &report) < 0 ||
        (!command->asks && check_together(command, o, &report) < 0))
        return -1;
    return command->check ? command->check(settings, o, &report) : 0;
}

bool options_begin(const struct command *command, int argc, char *argv[], struct options *o,
                   void *settings, int *status)
{
    char error[ERROR_BYTES];
    if (options_parse(command, argc, argv, o, settings, error, sizeof(error)) < 0) {
        fprintf(stderr, "strait: %s\n", error);
        *status = EXIT_USAGE;
        return false;
    }
    if (o->help) {
        printf("%s%s", command->help, command->asks ? ask_help : host_help);
        *status = 0;
        return false;
    }
    return true;
}
