/* SPDX-License-Identifier: MIT */
/*
 * A VFS of SQLite which differs from the default one in how it writes a write-ahead log:
 *
 *   - SQLite hands over two pieces for each page of a commit. Those that follow each other become
 *     one write, at the sync. Nobody else reads them before: SQLite tells the other connections of
 *     a commit's pages once they are synced (synchronous=FULL).
 *   - A file that grows is synced with its length and the places of its blocks, by a commit of the
 *     file system's own journal. So a log grows by many zeros at a time, which are no pages to
 *     SQLite, and most commits find their room there.
 */
#ifndef APPS_WAL_VFS_H
#define APPS_WAL_VFS_H

/* That become one write at most: SQLite's VFS for Unix takes no 128 KiB at once. */
#define WAL_VFS_BYTES (120 << 10)

#define WAL_VFS_GROWTH (256 << 10) /* to a multiple of this length */

struct wal_vfs;

/* On top of the VFS that is the default one now, and has to last. NULL: no memory. */
struct wal_vfs *wal_vfs_new(void);

/* For sqlite3_open_v2. */
const char *wal_vfs_name(const struct wal_vfs *);

/* After the connections that use it are closed. NULL is allowed. */
void wal_vfs_free(struct wal_vfs *);

#endif
