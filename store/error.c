#include "store/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *err, enum store_error code, const char *format, ...) {
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        err->code = code;
        if (vsnprintf(err->text, sizeof err->text, format, arguments) < 0)
            err->text[0] = '\0';
        va_end(arguments);
    }
    return code;
}

const char *store_error_text(int code) {
    switch ((enum store_error)code) {
    case STORE_OK:
        return "success";
    case STORE_ABSENT:
        return "not there";
    case STORE_NO_MEMORY:
        return "out of memory";
    case STORE_IO:
        return "input/output error";
    case STORE_CORRUPT:
        return "damaged data";
    case STORE_FULL:
        return "no space left below the store, or no quota";
    case STORE_LOCKED:
        return "another process writes the store";
    case STORE_READ_ONLY:
        return "read-only";
    case STORE_NEWER_FORMAT:
        return "written by a later tidfs";
    case STORE_NOT_A_STORE:
        return "not a tidfs store";
    case STORE_EXISTS:
        return "exists already";
    case STORE_PACKED:
        return "packed away";
    case STORE_INVALID:
        return "invalid argument";
    case STORE_TOO_BIG:
        return "above the format's limit";
    case STORE_NO_OBJECT:
        return "no such object";
    case STORE_LOST:
        return "lost, as `tidfs verify --repair` put on record";
    case STORE_CONFLICT:
        return "another process has written the store meanwhile: was the store's file \"lock\" removed?";
    }
    return "unknown error";
}

int store_error_errno(int code) {
    switch ((enum store_error)code) {
    case STORE_OK:
        return 0;
    case STORE_ABSENT:
    case STORE_NO_OBJECT:
    case STORE_NOT_A_STORE:
        return ENOENT;
    case STORE_NO_MEMORY:
        return ENOMEM;
    case STORE_IO:
    case STORE_CORRUPT:
    case STORE_LOST:
        return EIO;
    case STORE_FULL:
        return ENOSPC;
    case STORE_LOCKED:
        return EBUSY;
    case STORE_READ_ONLY:
        return EROFS;
    case STORE_NEWER_FORMAT:
        return ENOTSUP;
    case STORE_EXISTS:
        return EEXIST;
    case STORE_PACKED:
    case STORE_CONFLICT:
        return ESTALE;
    case STORE_INVALID:
        return EINVAL;
    case STORE_TOO_BIG:
        return EFBIG;
    }
    return EIO;
}

bool store_error_is_damage(int code) {
    return code == STORE_CORRUPT || code == STORE_LOST;
}

int store_error_from_errno(int saved_errno) {
    switch (saved_errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return STORE_FULL;
    case EROFS:
    case EACCES:
    case EPERM:
        return STORE_READ_ONLY;
    case ENOMEM:
        return STORE_NO_MEMORY;
    case EBUSY:
        return STORE_LOCKED;
    default:
        return STORE_IO;
    }
}
