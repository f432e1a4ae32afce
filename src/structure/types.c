/* SPDX-License-Identifier: MIT */
/* The types of structures that this library knows. */
#include "array.h"
#include "queue.h"

const struct zi_type zi_types[] = {
	{ZIPC_TYPE_ARRAY, "array", zi_array_resolve, zi_array_verify},
	{ZIPC_TYPE_QUEUE, "queue", zi_queue_resolve, zi_queue_verify},
	{0, NULL, NULL, NULL},
};
