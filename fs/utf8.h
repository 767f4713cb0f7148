/* UTF-8, for output alone: names and messages are bytes everywhere else.
 *
 * Threads: pure functions.
 */
#ifndef TIDFS_FS_UTF8_H
#define TIDFS_FS_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the character at text[0..length), length > 0. Returns its bytes (1..4), or 0 if there is no well-formed one: overlong forms,
 * surrogates and values above U+10FFFF are not. *character may be NULL. */
size_t utf8_decode(const char *text, size_t length, uint32_t *character);

#endif
