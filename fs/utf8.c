#include "fs/utf8.h"

size_t utf8_decode(const char *text, size_t length, uint32_t *character) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t value = (unsigned char)text[0];
    size_t bytes = 1;
    if (value >= 0xf0 && value <= 0xf4) {
        bytes = 4;
        value &= 0x07;
    } else if (value >= 0xe0 && value <= 0xef) {
        bytes = 3;
        value &= 0x0f;
    } else if (value >= 0xc2 && value <= 0xdf) {
        bytes = 2;
        value &= 0x1f;
    } else if (value >= 0x80) {
        return 0;
    }
    if (bytes > length)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        uint32_t next = (unsigned char)text[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        value = (value << 6) | (next & 0x3f);
    }
    if (value < smallest[bytes] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    if (character)
        *character = value;
    return bytes;
}
