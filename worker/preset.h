/* preset.h - kinds of events that are well known, as values of options: format, map.*, type.weights. What a preset sets takes part in the fold under these
 * options' names, so the preset itself is none of its options: whoever writes its values out goes on with the same model.
 */
#ifndef S4REC_PRESET_H
#define S4REC_PRESET_H

struct preset_value { const char *option, *value; };

/* The values of a preset, by its number among the words of the option; one without an option ends them. */
const struct preset_value *preset_values(int preset);
#endif
