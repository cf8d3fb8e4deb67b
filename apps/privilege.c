/* SPDX-License-Identifier: MIT */
#include "privilege.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

struct user {
    uid_t uid;
    gid_t gid;
};

/* Reads a decimal user or group id other than 0 from the environment. */
static bool id_from(const char *variable, unsigned *id)
{
    const char *text = getenv(variable);
    if (!text || !isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    /* The largest one means "unchanged" to the calls below. */
    if (errno != 0 || *end != '\0' || value == 0 || value >= (uid_t)-1)
        return false;
    *id = (unsigned)value;
    return true;
}

/* Whom to be instead of root. */
static bool choose(struct user *user)
{
    if (id_from("SUDO_UID", &user->uid) && id_from("SUDO_GID", &user->gid))
        return true;
    const struct passwd *nobody = getpwnam("nobody");
    if (!nobody || nobody->pw_uid == 0)
        return false;
    user->uid = nobody->pw_uid;
    user->gid = nobody->pw_gid;
    return true;
}

bool privilege_user(uid_t *uid, gid_t *gid)
{
    struct user user;
    if (!choose(&user))
        return false;
    *uid = user.uid;
    *gid = user.gid;
    return true;
}

/*
 * Becomes the user, groups first: afterwards that would be forbidden. For root, setgid and setuid
 * change the saved ids too, so that there is no way back.
 */
static bool become(const struct user *user)
{
    const struct passwd *entry = getpwuid(user->uid);
    int groups = entry ? initgroups(entry->pw_name, user->gid) : setgroups(0, NULL);
    return groups == 0 && setgid(user->gid) == 0 && setuid(user->uid) == 0;
}

/* An ordinary user may have capabilities, too: by the program's file, or as ambient ones. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return syscall(SYS_capset, &header, none) == 0;
}

int privilege_drop(char *name, size_t name_bytes, char *error, size_t error_bytes)
{
    struct user user;
    if (geteuid() == 0) {
        if (!choose(&user)) {
            snprintf(error, error_bytes,
                     "cannot give up root: there is no user \"nobody\"; start it through sudo");
            return -1;
        }
        if (!become(&user)) {
            snprintf(error, error_bytes, "cannot give up root for user %u: %s", user.uid,
                     strerror(errno));
            return -1;
        }
    }
    if (!drop_capabilities()) {
        snprintf(error, error_bytes, "cannot give up capabilities: %s", strerror(errno));
        return -1;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        snprintf(error, error_bytes, "cannot set no_new_privs: %s", strerror(errno));
        return -1;
    }
    const struct passwd *entry = getpwuid(geteuid());
    if (entry)
        snprintf(name, name_bytes, "%s", entry->pw_name);
    else
        snprintf(name, name_bytes, "user %u", geteuid());
    return 0;
}
