/* event_config.c - see event_config.h */
#include "worker/event_config.h"

const char *event_path(const char *option)
{
	return option && *option ? option : NULL;
}

struct decoder_options event_config(const struct config *c)
{
	return (struct decoder_options){
		.format = (enum event_format)c->format,
		.user_path = event_path(c->map_user),
		.item_path = event_path(c->map_item),
		.time_path = event_path(c->map_time),
		.type_path = event_path(c->map_type),
		.weight_path = event_path(c->map_weight),
		.event_id_path = event_path(c->map_event_id),
		.attribute_paths = c->map_user_attributes,
		.item_attribute_paths = c->map_item_attributes,
		.type_weights = c->type_weights,
		.time_unit = (enum event_time_unit)c->time_unit,
		.id_max_bytes = (size_t)c->id_max_bytes,
		.record_max_bytes = (size_t)c->record_max_bytes,
		.past_max_ms = c->time_past_max_ms,
		.future_max_ms = c->time_future_max_ms,
		.future_clamp = c->time_future,
		.weight_max = c->weight_max,
	};
}
