/* json_text.h - any bytes as a JSON string, by yajl. What is no UTF-8 would make the document invalid, so then each byte above ASCII becomes a '?'.
 * Any thread, as long as the generator has one at a time.
 */
#ifndef S4REC_JSON_TEXT_H
#define S4REC_JSON_TEXT_H
#include <stddef.h>
#include <yajl/yajl_gen.h>

void json_text(yajl_gen g, const char *s, size_t len);
#endif
