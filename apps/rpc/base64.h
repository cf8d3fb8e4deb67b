/* SPDX-License-Identifier: MIT */
/* Base64 (RFC 4648). */
#ifndef APPS_RPC_BASE64_H
#define APPS_RPC_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most bytes that a text of so many characters stands for; the text for so many bytes. */
#define BASE64_BYTES_MAX(text_bytes) ((text_bytes) / 4 * 3 + 3)
#define BASE64_TEXT_BYTES(bytes)     (((bytes) + 2) / 3 * 4)

/* Reads either alphabet, padded or not. Returns whether the text is base64. */
bool base64_read(const char *text, size_t text_bytes, uint8_t *bytes, size_t *length);

/* Writes BASE64_TEXT_BYTES(length) characters, padded. */
void base64_write(const uint8_t *bytes, size_t length, char *text);

#endif
