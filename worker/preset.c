/* preset.c - see preset.h. Each kind as the documentation of its producer has it. */
#include "worker/preset.h"

#include <assert.h>
#include <stddef.h>

/* In the order of WORDS_PRESET. */
static const struct preset_value plain[] = { { NULL, NULL } };

/* Segment Spec, Track calls of V2 Ecommerce Events. Orders and carts have their products in an array. Calls without a product, or that show lists of them which
 * nobody chose, are passed over. */
static const struct preset_value segment[] = {
	{ "map.user", "userId,anonymousId" },
	{ "map.item", "properties.products[].product_id,properties.product_id" },
	{ "map.time", "timestamp,originalTimestamp" },
	{ "map.type", "event" },
	{ "map.event_id", "messageId" },
	{ "type.weights", "Product Clicked:1,Product Viewed:1,Product Added:2,Product Added to Wishlist:2,Order Completed:5,*:ignore" },
	{ NULL, NULL },
};

/* Amazon Personalize: interactions as CSV (USER_ID, ITEM_ID, TIMESTAMP, EVENT_TYPE), requests of PutEvents, or one of their events beside its user. */
static const struct preset_value personalize[] = {
	{ "map.user", "userId,user_id" },
	{ "map.item", "eventList[].itemId,itemId,item_id" },
	{ "map.time", "eventList[].sentAt,sentAt,timestamp" },
	{ "map.type", "eventList[].eventType,eventType,event_type" },
	{ "map.event_id", "eventList[].eventId,eventId,event_id" },
	{ NULL, NULL },
};

/* MovieLens: ratings.csv. A rating, of whatever height, is an interaction. */
static const struct preset_value movielens[] = {
	{ "map.user", "userId" },
	{ "map.item", "movieId" },
	{ "map.time", "timestamp" },
	{ NULL, NULL },
};

/* Gorse: feedback as its REST API has it, and as its dashboard exports it. */
static const struct preset_value gorse[] = {
	{ "map.user", "UserId,user_id" },
	{ "map.item", "ItemId,item_id" },
	{ "map.time", "Timestamp,time_stamp" },
	{ "map.type", "FeedbackType,feedback_type" },
	{ NULL, NULL },
};

static const struct preset_value cloudevents[] = {
	{ "format", "cloudevents" },
	{ NULL, NULL },
};

static const struct preset_value *const presets[] = { plain, segment, personalize, movielens, gorse, cloudevents };

const struct preset_value *preset_values(int preset)
{
	assert(preset >= 0 && (size_t)preset < sizeof presets / sizeof *presets);
	return presets[preset];
}
