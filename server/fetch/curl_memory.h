/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's memory, watched: until 8.6 it calls some of its limits a want of memory. */
#ifndef KEND_CURL_MEMORY_H
#define KEND_CURL_MEMORY_H

#include <curl/curl.h>

/* As curl_global_init, which this stands for. */
CURLcode kend_curl_memory_begin(void);
/* How often libcurl did not get memory so far. */
unsigned kend_curl_memory_failures(void);

#endif
