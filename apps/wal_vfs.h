/* SPDX-License-Identifier: MIT */
/*
 * A VFS of SQLite which differs from the default one in how it writes a write-ahead log: SQLite
 * hands over two pieces for each page of a commit, and here those that follow each other become one
 * write, at the sync. Nobody else reads them before: SQLite tells the other connections of a
 * commit's pages once they are synced (synchronous=FULL).
 */
#ifndef APPS_WAL_VFS_H
#define APPS_WAL_VFS_H

/* That become one write at most: SQLite's VFS for Unix takes no 128 KiB at once. */
#define WAL_VFS_BYTES (120 << 10)

struct wal_vfs;

/* On top of the VFS that is the default one now, and has to last. NULL: no memory. */
struct wal_vfs *wal_vfs_new(void);

/* For sqlite3_open_v2. */
const char *wal_vfs_name(const struct wal_vfs *);

/* After the connections that use it are closed. NULL is allowed. */
void wal_vfs_free(struct wal_vfs *);

#endif
