/* SPDX-License-Identifier: MIT */
/*
 * Tables of words: open addressing, the letters in one piece of memory behind it. Nothing here
 * knows of shared memory; demo_pack() makes the form that travels through it.
 */
#include "demo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 1024

/* ---- the table ------------------------------------------------------------------------------ */

/* FNV-1a */
static uint32_t hash_of(const unsigned char *letters, size_t length)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ letters[i]) * 16777619u;
	return hash;
}

/* The slot of the word, or the free one where it belongs. The table is never full. */
static demo_word *find_slot(const demo_words *words, const void *letters, size_t length,
			    uint32_t hash)
{
	size_t mask = words->size - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		demo_word *slot = &words->slots[i];

		if (slot->count == 0)
			return slot;
		if (slot->hash == hash && slot->length == length &&
		    memcmp(words->letters + slot->at, letters, length) == 0)
			return slot;
	}
}

static void grow(demo_words *words)
{
	demo_word *old = words->slots;
	size_t old_size = words->size;

	words->size = old_size ? 2 * old_size : FIRST_SIZE;
	words->slots = cli_memory(NULL, words->size * sizeof(*words->slots));
	memset(words->slots, 0, words->size * sizeof(*words->slots));
	for (size_t i = 0; i < old_size; i++) {
		if (old[i].count)
			*find_slot(words, words->letters + old[i].at, old[i].length, old[i].hash) =
				old[i];
	}
	free(old);
}

static uint32_t keep_letters(demo_words *words, const void *letters, size_t length)
{
	size_t at = words->letters_used;

	if (at + length > words->letters_room) {
		words->letters_room = 2 * words->letters_room + 65536;
		words->letters = cli_memory(words->letters, words->letters_room);
	}
	memcpy(words->letters + at, letters, length);
	words->letters_used += length;
	return (uint32_t)at;
}

void demo_words_add(demo_words *words, const void *letters, size_t length, uint64_t count)
{
	uint32_t hash = hash_of(letters, length);
	demo_word *slot;

	if (words->used * 2 >= words->size)
		grow(words);
	slot = find_slot(words, letters, length, hash);
	if (slot->count == 0) {
		slot->hash = hash;
		slot->length = (uint32_t)length;
		slot->at = keep_letters(words, letters, length);
		words->used++;
	}
	slot->count += count;
	words->total += count;
}

uint64_t demo_words_count(const demo_words *words, const void *letters, size_t length)
{
	if (words->size == 0)
		return 0;
	return find_slot(words, letters, length, hash_of(letters, length))->count;
}

void demo_words_clear(demo_words *words)
{
	if (words->size)
		memset(words->slots, 0, words->size * sizeof(*words->slots));
	words->used = 0;
	words->letters_used = 0;
	words->total = 0;
}

void demo_words_free(demo_words *words)
{
	free(words->slots);
	free(words->letters);
	*words = (demo_words){0};
}

/* More often first; of two equals the alphabetically first, so that the order is always the same */
static bool ranks_before(const demo_words *words, const demo_word *a, const demo_word *b)
{
	uint32_t shorter = a->length < b->length ? a->length : b->length;
	int order;

	if (a->count != b->count)
		return a->count > b->count;
	order = memcmp(words->letters + a->at, words->letters + b->at, shorter);
	return order ? order < 0 : a->length < b->length;
}

size_t demo_words_top(const demo_words *words, demo_word *out_top, size_t count)
{
	size_t found = 0;

	for (size_t i = 0; i < words->size; i++) {
		const demo_word *word = &words->slots[i];
		size_t place = found;

		if (word->count == 0)
			continue;
		while (place > 0 && ranks_before(words, word, &out_top[place - 1]))
			place--;
		if (place == count)
			continue;
		found += found < count;
		memmove(&out_top[place + 1], &out_top[place],
			(found - place - 1) * sizeof(*out_top));
		out_top[place] = *word;
	}
	return found;
}

/* ---- counting ------------------------------------------------------------------------------- */

unsigned char demo_letter(unsigned char byte)
{
	if (byte >= 'A' && byte <= 'Z')
		return (unsigned char)(byte - 'A' + 'a');
	return (byte >= 'a' && byte <= 'z') || byte >= 0x80 ? byte : 0;
}

void demo_count_text(demo_words *words, const char *text, size_t length)
{
	unsigned char word[DEMO_WORD_MAX];
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		unsigned char letter = demo_letter((unsigned char)text[i]);

		if (letter)
			word[n++] = letter;
		if (n == DEMO_WORD_MAX || (n > 0 && !letter)) {
			demo_words_add(words, word, n, 1);
			n = 0;
		}
	}
	if (n > 0)
		demo_words_add(words, word, n, 1);
}

/*
 * The yardstick: no blocks, no segment, no other process. It shares with the workers what a letter
 * is and the table, nothing else.
 */
int demo_count_file(demo_words *words, const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned char word[DEMO_WORD_MAX];
	size_t n = 0;
	int c, rc;

	if (!file)
		return -errno;
	do {
		c = getc_unlocked(file);
		unsigned char letter = c == EOF ? 0 : demo_letter((unsigned char)c);

		if (letter)
			word[n++] = letter;
		if (n > 0 && (!letter || n == DEMO_WORD_MAX)) {
			demo_words_add(words, word, n, 1);
			n = 0;
		}
	} while (c != EOF);
	rc = ferror(file) ? -EIO : 0;
	fclose(file);
	return rc;
}

/* ---- the form that travels ------------------------------------------------------------------ */

#define ENTRY_HEAD 3 /* u16 count, u8 length - 1 */

size_t demo_pack(const demo_words *words, unsigned char out_table[DEMO_TABLE_MAX])
{
	unsigned char *out = out_table;

	for (size_t i = 0; i < words->size; i++) {
		const demo_word *word = &words->slots[i];

		if (word->count == 0)
			continue;
		/* A block has fewer than 65,536 words, so 16 bits are enough. */
		out[0] = (unsigned char)(word->count & 0xff);
		out[1] = (unsigned char)(word->count >> 8);
		out[2] = (unsigned char)(word->length - 1);
		memcpy(out + ENTRY_HEAD, words->letters + word->at, word->length);
		out += ENTRY_HEAD + word->length;
	}
	return (size_t)(out - out_table);
}

/* Other processes can write to the segment, so nothing in there is taken on trust. */
bool demo_unpack(demo_words *words, const unsigned char *table, size_t used)
{
	size_t at = 0;

	if (used > DEMO_TABLE_MAX)
		return false;
	while (at + ENTRY_HEAD < used) {
		const unsigned char *entry = table + at;
		uint64_t count = entry[0] | (uint64_t)entry[1] << 8;
		size_t length = (size_t)entry[2] + 1;

		if (count == 0 || at + ENTRY_HEAD + length > used)
			return false;
		demo_words_add(words, entry + ENTRY_HEAD, length, count);
		at += ENTRY_HEAD + length;
	}
	return at == used;
}
