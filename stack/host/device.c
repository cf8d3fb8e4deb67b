/* SPDX-License-Identifier: MIT */
/*
 * Opening goes in steps: the control device, the attachment to the named device (which makes it if
 * need be), the offloads, further queues and the program that chooses among them, then the settings
 * that `ip link` and `ip address` would make: no packet comes before each queue gets its own.
 * Settings need privilege; where it lacks, a device that somebody has set up already is taken as it
 * is.
 */
#include "host/device.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/steer.h"

#define MESSAGE_BYTES 200

/* A device on its way. */
struct opening {
    struct device *device; /* the first of its queues */
    const struct shard_rule *rule;
    uint32_t queues; /* that are wanted, in the end those that are open */
    short flags;     /* of the attachment */
    struct strait_tun_config config;
    int control; /* any socket: the door to the settings of interfaces */
    char *error;
    size_t error_bytes;
};

/* Says why opening fails; errno is kept. Returns -1. */
__attribute__((format(printf, 2, 3))) static int fail(struct opening *o, const char *format, ...)
{
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(o->error, o->error_bytes, format, arguments);
    va_end(arguments);
    errno = saved;
    return -1;
}

/* Tells what was refused and is done without. */
__attribute__((format(printf, 2, 3))) static void notice(struct opening *o, const char *format, ...)
{
    if (!o->config.notice)
        return;
    char message[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    o->config.notice(o->config.notice_context, message);
}

/* ---- The attachment -------------------------------------------------------------------------- */

/* The rules of the kernel, and no '%', which it would take for a pattern. */
static bool name_usable(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
        return false;
    for (const char *c = name; *c; c++) {
        if (*c == '/' || *c == ':' || *c == '%' || isspace((unsigned char)*c))
            return false;
    }
    return true;
}

static int check_config(struct opening *o)
{
    errno = EINVAL;
    if (!name_usable(o->config.name))
        return fail(o,
                    "'%s' cannot be the name of a device: 1 to %d characters, none of / : %% space",
                    o->config.name, IFNAMSIZ - 1);
    memcpy(o->device->name, o->config.name, strlen(o->config.name) + 1);
    if (o->config.peer.s_addr && (o->config.prefix_bits < 1 || o->config.prefix_bits > 32))
        return fail(o, "a prefix of %d bits for the kernel's address: it must be 1 to 32",
                    o->config.prefix_bits);
    return 0;
}

static int open_clone(struct device *queue)
{
    queue->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return queue->fd < 0 ? -1 : 0;
}

static int open_first(struct opening *o)
{
    if (open_clone(o->device) == 0)
        return 0;
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        return fail(o, "there is no /dev/net/tun: load the kernel's module with 'modprobe tun' (a "
                       "container must be given the device)");
    return fail(o, "cannot open /dev/net/tun: %s; run as root", strerror(errno));
}

static int attach_failed(struct opening *o)
{
    const char *name = o->device->name;
    switch (errno) {
    case EPERM:
    case EACCES:
        return fail(o,
                    "no privilege to open %s: run as root, or make the device yours: "
                    "ip tuntap add %s mode tun user NAME",
                    name, name);
    case EBUSY:
        return fail(o, "%s is in use by another program: end that one, or choose another name",
                    name);
    case EINVAL:
        return fail(o, "%s is not a TUN device: choose another name", name);
    default:
        return fail(o, "cannot open %s: %s", name, strerror(errno));
    }
}

/* Attaches a descriptor to the device. Returns 0, or -1 with errno. */
static int attach_queue(const struct opening *o, const struct device *queue, short flags)
{
    struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | flags)};
    memcpy(request.ifr_name, o->device->name, sizeof(request.ifr_name));
    return ioctl(queue->fd, TUNSETIFF, &request);
}

/*
 * Whether a persistent device takes several queues was decided when it was made, and has to be said
 * alike; to say otherwise is EINVAL.
 */
static int attach(struct opening *o)
{
    static const struct {
        short flags;
        bool several;
    } ways[] = {
        {IFF_VNET_HDR | IFF_MULTI_QUEUE, true},
        {IFF_MULTI_QUEUE, true},
        {IFF_VNET_HDR, false},
        {IFF_VNET_HDR | IFF_MULTI_QUEUE, false},
        {0, false},
        {IFF_MULTI_QUEUE, false},
    };
    const char *name = o->device->name;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if ((o->config.plain && (ways[i].flags & IFF_VNET_HDR)) ||
            (o->queues == 1 && ways[i].several))
            continue;
        if (attach_queue(o, o->device, ways[i].flags) == 0) {
            o->flags = ways[i].flags;
            o->device->header = (o->flags & IFF_VNET_HDR) != 0;
            if (!o->device->header && !o->config.plain)
                notice(o, "%s takes no virtio-net headers: going on without offload", name);
            if (o->queues > 1 && !ways[i].several) {
                notice(o,
                       "%s was made for one queue: going on with one; for more: "
                       "ip tuntap add %s mode tun multi_queue",
                       name, name);
                o->queues = 1;
            }
            return 0;
        }
        if (errno != EINVAL)
            break;
    }
    return attach_failed(o);
}

/* Asks for the offloads, fewer and fewer of them. */
static int set_offloads(struct opening *o)
{
    static const struct {
        unsigned flags;
        uint32_t features;
        const char *what; /* what the way before it has not */
    } ways[] = {
        {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4,
         "ECN in TCP segmentation offload"},
        {TUN_F_CSUM | TUN_F_TSO4, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4,
         "TCP segmentation offload"},
        {TUN_F_CSUM, STRAIT_LINK_CHECKSUM, "checksum offload"},
    };
    struct device *device = o->device;
    /* A persistent device keeps what its last program has set, the size of the header included. */
    if (!device->header) {
        ioctl(device->fd, TUNSETOFFLOAD, 0);
        return 0;
    }
    if (ioctl(device->fd, TUNSETVNETHDRSZ, &(int){sizeof(struct virtio_net_hdr)}))
        return fail(o, "%s: cannot set the size of its virtio-net header: %s", device->name,
                    strerror(errno));
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (ioctl(device->fd, TUNSETOFFLOAD, ways[i].flags) == 0) {
            device->features = ways[i].features;
            return 0;
        }
        notice(o, "%s: the kernel refuses %s: %s", device->name, ways[i].what, strerror(errno));
    }
    ioctl(device->fd, TUNSETOFFLOAD, 0);
    return 0;
}

/* ---- Further queues -------------------------------------------------------------------------- */

/* Lets the kernel choose the queue of each packet by the rule. Returns 0, or -1 with errno. */
static int steer(const struct opening *o)
{
    struct steer_program program;
    steer_assemble(&program, o->rule);
    int fd = steer_load(&program);
    if (fd < 0)
        return -1;
    int result = ioctl(o->device->fd, TUNSETSTEERINGEBPF, &fd);
    int saved = errno;
    close(fd); /* the device holds the program */
    errno = saved;
    return result;
}

static void close_queue(struct device *queue)
{
    int saved = errno;
    if (queue->fd >= 0)
        close(queue->fd);
    queue->fd = -1;
    errno = saved;
}

/* The kernel numbers queues in the order in which they are attached: as the program counts. */
static void open_queues(struct opening *o)
{
    uint32_t opened = 1;
    bool steered = false;
    if (o->queues == 1)
        return;
    while (opened < o->queues) {
        struct device *queue = &o->device[opened];
        *queue = *o->device;
        if (open_clone(queue) || attach_queue(o, queue, o->flags)) {
            notice(o, "%s: cannot open queue %u: %s; going on with one", o->device->name,
                   opened + 1, strerror(errno));
            close_queue(queue);
            break;
        }
        opened++;
    }
    if (opened == o->queues) {
        steered = steer(o) == 0;
        if (!steered)
            notice(o, "%s: the kernel refuses to steer packets to queues: %s; going on with one",
                   o->device->name, strerror(errno));
    }
    if (steered)
        return;
    o->queues = 1;
    while (opened > 1)
        close_queue(&o->device[--opened]);
}

/* ---- The settings ---------------------------------------------------------------------------- */

/* An ioctl about the device, by name. */
static int interface(struct opening *o, unsigned long command, struct ifreq *request)
{
    memcpy(request->ifr_name, o->device->name, sizeof(request->ifr_name));
    return ioctl(o->control, command, request);
}

static int set_mtu(struct opening *o)
{
    struct ifreq now = {0};
    if (interface(o, SIOCGIFMTU, &now))
        return fail(o, "cannot read the MTU of %s: %s", o->device->name, strerror(errno));
    o->device->mtu = (uint32_t)now.ifr_mtu;
    if (o->config.mtu == 0 || o->config.mtu == o->device->mtu)
        return 0;
    struct ifreq wanted = {.ifr_mtu = (int)o->config.mtu};
    if (interface(o, SIOCSIFMTU, &wanted) == 0) {
        o->device->mtu = o->config.mtu;
        return 0;
    }
    if (errno != EPERM)
        return fail(o, "an MTU of %u for %s: %s; it must be 68 to 65535", o->config.mtu,
                    o->device->name, strerror(errno));
    notice(o, "%s: no privilege to set the MTU, it stays at %u", o->device->name, o->device->mtu);
    return 0;
}

static void set_queue(struct opening *o)
{
    struct ifreq now = {0};
    if (o->config.queue_packets == 0 ||
        (interface(o, SIOCGIFTXQLEN, &now) == 0 && now.ifr_qlen == (int)o->config.queue_packets))
        return;
    struct ifreq wanted = {.ifr_qlen = (int)o->config.queue_packets};
    if (interface(o, SIOCSIFTXQLEN, &wanted))
        notice(o, "%s: cannot set txqueuelen to %u: %s", o->device->name, o->config.queue_packets,
               strerror(errno));
}

static in_addr_t netmask(int prefix_bits)
{
    return htonl(UINT32_MAX << (32 - prefix_bits));
}

/* Looks for IPv4 addresses on the device: any at all, and the very one that is asked for. */
static int find_addresses(struct opening *o, bool *any, bool *same)
{
    struct ifaddrs *all;
    *any = *same = false;
    if (getifaddrs(&all))
        return fail(o, "cannot read the addresses of %s: %s", o->device->name, strerror(errno));
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (strcmp(i->ifa_name, o->device->name) != 0 || !i->ifa_addr || !i->ifa_netmask ||
            i->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in address, mask;
        memcpy(&address, i->ifa_addr, sizeof(address));
        memcpy(&mask, i->ifa_netmask, sizeof(mask));
        *any = true;
        if (address.sin_addr.s_addr == o->config.peer.s_addr &&
            mask.sin_addr.s_addr == netmask(o->config.prefix_bits))
            *same = true;
    }
    freeifaddrs(all);
    return 0;
}

/* Adds the kernel's address beside those that the device has. Returns 0, or -1 with errno. */
static int add_address(struct opening *o)
{
    struct {
        struct nlmsghdr head;
        struct ifaddrmsg message;
        struct {
            struct rtattr head;
            struct in_addr value;
        } local, address;
    } request = {
        .head = {.nlmsg_len = sizeof(request),
                 .nlmsg_type = RTM_NEWADDR,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
        .message = {.ifa_family = AF_INET,
                    .ifa_prefixlen = (uint8_t)o->config.prefix_bits,
                    .ifa_index = if_nametoindex(o->device->name)},
        .local = {{sizeof(request.local), IFA_LOCAL}, o->config.peer},
        .address = {{sizeof(request.address), IFA_ADDRESS}, o->config.peer},
    };
    struct {
        struct nlmsghdr head;
        struct nlmsgerr result;
        char quoted[sizeof(request)];
    } reply = {0};

    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (netlink < 0)
        return -1;
    ssize_t n = send(netlink, &request, sizeof(request), 0);
    if (n >= 0)
        n = recv(netlink, &reply, sizeof(reply), 0);
    int error = n < 0 ? errno : -reply.result.error;
    close(netlink);
    errno = error;
    return error ? -1 : 0;
}

static int set_address(struct opening *o)
{
    bool any, same;
    if (o->config.peer.s_addr == 0)
        return 0;
    if (find_addresses(o, &any, &same))
        return -1;
    if (same || add_address(o) == 0)
        return 0;
    const char *name = o->device->name;
    if (errno != EPERM)
        return fail(o, "cannot set the kernel's address on %s: %s", name, strerror(errno));
    if (!any)
        return fail(o,
                    "%s has no address and there is no privilege to set one: run as root, or: "
                    "ip address add ADDRESS/BITS dev %s",
                    name, name);
    notice(o, "%s: no privilege to set the kernel's address, it keeps the one it has", name);
    return 0;
}

static int set_up(struct opening *o)
{
    const char *name = o->device->name;
    struct ifreq request = {0};
    if (interface(o, SIOCGIFFLAGS, &request))
        return fail(o, "cannot read the state of %s: %s", name, strerror(errno));
    if (request.ifr_flags & IFF_UP)
        return 0;
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    if (interface(o, SIOCSIFFLAGS, &request) == 0)
        return 0;
    if (errno == EPERM)
        return fail(o,
                    "%s is down and there is no privilege to set it up: run as root, or: "
                    "ip link set %s up",
                    name, name);
    return fail(o, "cannot set %s up: %s", name, strerror(errno));
}

static int configure(struct opening *o)
{
    o->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (o->control < 0)
        return fail(o, "cannot make a socket to configure %s: %s", o->device->name,
                    strerror(errno));
    int result = set_mtu(o);
    if (!result) {
        set_queue(o);
        result = set_address(o) ? -1 : set_up(o);
    }
    int saved = errno;
    close(o->control);
    errno = saved;
    return result;
}

/* All queues are of one device, and differ in nothing but their descriptors. */
static void share_settings(const struct opening *o)
{
    for (uint32_t i = 1; i < o->queues; i++) {
        int fd = o->device[i].fd;
        o->device[i] = *o->device;
        o->device[i].fd = fd;
    }
}

int device_open(struct device *device, const struct strait_tun_config *config,
                const struct shard_rule *rule, char *error, size_t error_bytes)
{
    *device = (struct device){.fd = -1};
    struct opening o = {
        .device = device,
        .rule = rule,
        .queues = rule->shards,
        .error = error,
        .error_bytes = error_bytes,
    };
    memcpy(&o.config, config, config->size < sizeof(o.config) ? config->size : sizeof(o.config));
    if (!o.config.name)
        o.config.name = "tun0";
    if (check_config(&o) || open_first(&o))
        return -1;
    if (attach(&o) || set_offloads(&o)) {
        close_queue(device);
        return -1;
    }
    open_queues(&o);
    if (configure(&o)) {
        while (o.queues > 0)
            close_queue(&device[--o.queues]);
        return -1;
    }
    share_settings(&o);
    return (int)o.queues;
}
