/* The names of the requests that are counted. */
#include "fs/driver_private.h"

const char *request_name(enum request kind) {
    static const char *const names[REQUEST_KINDS] = {
        [REQUEST_LOOKUP] = "lookup",
        [REQUEST_FORGET] = "forget",
        [REQUEST_GETATTR] = "getattr",
        [REQUEST_SETATTR] = "setattr",
        [REQUEST_READLINK] = "readlink",
        [REQUEST_MKNOD] = "mknod",
        [REQUEST_MKDIR] = "mkdir",
        [REQUEST_UNLINK] = "unlink",
        [REQUEST_RMDIR] = "rmdir",
        [REQUEST_SYMLINK] = "symlink",
        [REQUEST_RENAME] = "rename",
        [REQUEST_LINK] = "link",
        [REQUEST_OPEN] = "open",
        [REQUEST_READ] = "read",
        [REQUEST_WRITE] = "write",
        [REQUEST_FSYNC] = "fsync",
        [REQUEST_OPENDIR] = "opendir",
        [REQUEST_READDIR] = "readdir",
        [REQUEST_READDIRPLUS] = "readdirplus",
        [REQUEST_FSYNCDIR] = "fsyncdir",
        [REQUEST_STATFS] = "statfs",
        [REQUEST_SETXATTR] = "setxattr",
        [REQUEST_GETXATTR] = "getxattr",
        [REQUEST_LISTXATTR] = "listxattr",
        [REQUEST_REMOVEXATTR] = "removexattr",
        [REQUEST_FALLOCATE] = "fallocate",
        [REQUEST_COPY_RANGE] = "copy_file_range",
        [REQUEST_LSEEK] = "lseek",
        [REQUEST_IOCTL] = "ioctl",
    };
    return names[kind];
}
