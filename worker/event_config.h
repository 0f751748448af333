/* event_config.h - what the options say about the records of the input, as a decoder wants to know it. */
#ifndef S4REC_EVENT_CONFIG_H
#define S4REC_EVENT_CONFIG_H
#include "codec/event.h"
#include "worker/config.h"

/* Points into c. */
struct decoder_options event_config(const struct config *c);
/* NULL, the default, for an option that nobody set. */
const char *event_path(const char *option);
#endif
