#include "options.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
    block * next;
};

/* What a field takes. To C zero is the default, which JavaScript says by leaving it out. */
typedef enum kind {
    KIND_TEXT,
    KIND_FLAG,
    KIND_SWITCH, /* true or false, where C has a third value for the default */
    KIND_INTEGER,
    KIND_COUNT, /* an integer that is not zero */
    KIND_REAL,  /* a float that is not zero */
    KIND_LEVEL, /* a float that is off at zero, which C says by a negative number */
    KIND_SEED,
    KIND_BYTES,
    KIND_FLOATS,
    KIND_IMAGES
} kind;

typedef struct field {
    const char * name;
    kind kind;
    size_t offset, count; /* in the struct: of the value, and of its length where it has one */
} field;

typedef struct picture {
    ltx2_image image;
    size_t bytes;
} picture;

static const field session_fields[] = {
    {"device", KIND_TEXT, offsetof(ltx2_session_params, device), 0},
    {"threads", KIND_INTEGER, offsetof(ltx2_session_params, threads), 0},
    {"keep_loaded", KIND_FLAG, offsetof(ltx2_session_params, keep_loaded), 0},
    {"low_memory", KIND_FLAG, offsetof(ltx2_session_params, low_memory), 0},
    {NULL, 0, 0, 0},
};

static const field video_fields[] = {
    {"prompt", KIND_TEXT, offsetof(ltx2_video_params, prompt), 0},
    {"negative_prompt", KIND_TEXT, offsetof(ltx2_video_params, negative_prompt), 0},
    {"images", KIND_IMAGES, offsetof(ltx2_video_params, images),
     offsetof(ltx2_video_params, image_count)},
    {"width", KIND_COUNT, offsetof(ltx2_video_params, width), 0},
    {"height", KIND_COUNT, offsetof(ltx2_video_params, height), 0},
    {"frames", KIND_COUNT, offsetof(ltx2_video_params, frames), 0},
    {"fps", KIND_REAL, offsetof(ltx2_video_params, fps), 0},
    {"schedule", KIND_TEXT, offsetof(ltx2_video_params, schedule), 0},
    {"steps", KIND_COUNT, offsetof(ltx2_video_params, steps), 0},
    {"guidance", KIND_LEVEL, offsetof(ltx2_video_params, guidance), 0},
    {"stg", KIND_LEVEL, offsetof(ltx2_video_params, stg), 0},
    {"rescale", KIND_LEVEL, offsetof(ltx2_video_params, rescale), 0},
    {"sampler", KIND_TEXT, offsetof(ltx2_video_params, sampler), 0},
    {"refine_sigmas", KIND_TEXT, offsetof(ltx2_video_params, refine_sigmas), 0},
    {"temporal_upscalings", KIND_INTEGER, offsetof(ltx2_video_params, temporal_upscalings), 0},
    {"generated_keyframes", KIND_TEXT, offsetof(ltx2_video_params, generated_keyframes), 0},
    {"recipe", KIND_TEXT, offsetof(ltx2_video_params, recipe), 0},
    {"audio", KIND_SWITCH, offsetof(ltx2_video_params, audio), 0},
    {"audio_guidance", KIND_LEVEL, offsetof(ltx2_video_params, audio_guidance), 0},
    {"modality_guidance", KIND_LEVEL, offsetof(ltx2_video_params, modality_guidance), 0},
    {"seed", KIND_SEED, offsetof(ltx2_video_params, seed), 0},
    {"noise", KIND_FLOATS, offsetof(ltx2_video_params, noise),
     offsetof(ltx2_video_params, noise_count)},
    {NULL, 0, 0, 0},
};

static const field image_fields[] = {
    {"pixels", KIND_BYTES, offsetof(picture, image.pixels), offsetof(picture, bytes)},
    {"width", KIND_COUNT, offsetof(picture, image.width), 0},
    {"height", KIND_COUNT, offsetof(picture, image.height), 0},
    {"frame", KIND_INTEGER, offsetof(picture, image.frame), 0},
    {"strength", KIND_REAL, offsetof(picture, image.strength), 0},
    {NULL, 0, 0, 0},
};

static bool read_fields(inputs * in, const char * of, js_value_t * object, const field * fields,
                        void * target);

bool is(js_env_t * env, js_value_t * value, js_value_type_t type) {
    js_value_type_t actual;
    return js_typeof(env, value, &actual) == 0 && actual == type;
}

bool refuse(js_env_t * env, const char * format, ...) {
    va_list arguments;
    va_start(arguments, format);
    js_throw_type_verrorf(env, "INVALID_ARGUMENT", format, arguments);
    va_end(arguments);
    return false;
}

static void * keep(inputs * in, size_t bytes) {
    block * kept = bytes < SIZE_MAX - sizeof *kept ? calloc(1, sizeof *kept + bytes) : NULL;
    if (!kept) {
        js_throw_error(in->env, "OUT_OF_MEMORY", "no memory for what a call reads");
        return NULL;
    }
    kept->next = in->first;
    in->first = kept;
    return kept + 1;
}

static bool read_text(inputs * in, const char * name, js_value_t * value, const char ** out) {
    size_t length = 0;
    if (!is(in->env, value, js_string))
        return refuse(in->env, "%s: is not a string", name);
    js_get_value_string_utf8(in->env, value, NULL, 0, &length);
    char * text = keep(in, length + 1);
    if (!text)
        return false;
    js_get_value_string_utf8(in->env, value, (utf8_t *)text, length + 1, NULL);
    *out = text;
    return strlen(text) == length || refuse(in->env, "%s: contains a NUL character", name);
}

static bool read_number(inputs * in, const field * f, const char * name, js_value_t * value,
                        void * out) {
    double number = 0;
    if (!is(in->env, value, js_number))
        return refuse(in->env, "%s: is not a number", name);
    js_get_value_double(in->env, value, &number);
    if (f->kind == KIND_REAL || f->kind == KIND_LEVEL)
        number = (float)number; /* 1e-60 is zero too */
    if (number == 0 && (f->kind == KIND_COUNT || f->kind == KIND_REAL))
        return refuse(in->env, "%s: 0 cannot be used; leave it out for the default", name);
    if (f->kind == KIND_REAL || f->kind == KIND_LEVEL) {
        *(float *)out = number == 0 ? -1.0F : (float)number;
        return true;
    }
    if (number != trunc(number) || fabs(number) > INT32_MAX)
        return refuse(in->env, "%s: %g is not an integer of 32 bits", name, number);
    *(int32_t *)out = (int32_t)number;
    return true;
}

static bool read_seed(inputs * in, const char * name, js_value_t * value, uint64_t * out) {
    double number = -1;
    bool lossless = false;
    if (is(in->env, value, js_bigint))
        js_get_value_bigint_uint64(in->env, value, out, &lossless);
    else if (is(in->env, value, js_number)) {
        js_get_value_double(in->env, value, &number);
        lossless = number >= 0 && number <= 9007199254740991.0 && number == trunc(number);
        *out = lossless ? (uint64_t)number : 0;
    }
    return lossless ||
           refuse(in->env, "%s: is not an integer from 0, or a BigInt of 64 bits", name);
}

static bool read_array(inputs * in, const field * f, const char * name, js_value_t * value,
                       const void ** out, size_t * count) {
    const bool bytes = f->kind == KIND_BYTES;
    bool fits = false;
    void * data = NULL;
    if (bytes)
        js_is_uint8array(in->env, value, &fits);
    else
        js_is_float32array(in->env, value, &fits);
    if (!fits)
        return refuse(in->env, "%s: is not a %s", name, bytes ? "Uint8Array" : "Float32Array");
    js_get_typedarray_info(in->env, value, NULL, &data, count, NULL, NULL);
    const size_t size = *count * (bytes ? sizeof(uint8_t) : sizeof(float));
    void * copy = keep(in, size);
    if (!copy)
        return false;
    *out = size ? memcpy(copy, data, size) : copy;
    return true;
}

static bool read_images(inputs * in, js_value_t * list, const ltx2_image ** out, size_t * count) {
    bool array = false;
    uint32_t length = 0;
    if (js_is_array(in->env, list, &array) < 0 || !array)
        return refuse(in->env, "images: is not an array");
    js_get_array_length(in->env, list, &length);
    ltx2_image * images = keep(in, length * sizeof *images);
    for (uint32_t i = 0; images && i < length; ++i) {
        js_value_t * element;
        picture read = {0};
        char of[32];
        snprintf(of, sizeof of, "images[%u].", (unsigned)i);
        if (js_get_element(in->env, list, i, &element) < 0 ||
            !read_fields(in, of, element, image_fields, &read))
            return false;
        const ltx2_image * image = &read.image;
        if ((double)image->width * image->height * 3 != (double)read.bytes)
            return refuse(in->env, "%spixels: %zu values; width x height x 3 are %d x %d x 3", of,
                          read.bytes, (int)image->width, (int)image->height);
        images[i] = *image;
    }
    *out = images;
    *count = length;
    return images != NULL;
}

static bool read_bool(inputs * in, const field * f, js_value_t * value, void * out) {
    bool yes = false;
    if (js_get_value_bool(in->env, value, &yes) < 0)
        return false;
    if (f->kind == KIND_FLAG)
        *(bool *)out = yes;
    else
        *(int32_t *)out = yes ? 1 : -1;
    return true;
}

static bool read_value(inputs * in, const field * f, const char * name, js_value_t * value,
                       void * target) {
    void * at = (char *)target + f->offset;
    size_t * count = (size_t *)(void *)((char *)target + f->count);
    switch (f->kind) {
    case KIND_TEXT:
        return read_text(in, name, value, at);
    case KIND_FLAG:
    case KIND_SWITCH:
        if (!is(in->env, value, js_boolean))
            return refuse(in->env, "%s: is not true or false", name);
        return read_bool(in, f, value, at);
    case KIND_SEED:
        return read_seed(in, name, value, at);
    case KIND_BYTES:
    case KIND_FLOATS:
        return read_array(in, f, name, value, at, count);
    case KIND_IMAGES:
        return read_images(in, value, at, count);
    default:
        return read_number(in, f, name, value, at);
    }
}

/* Every property of `object` that is not undefined or null, into the struct; `of` is said before
   its name. One that is no field is refused, for it is a field misspelt. */
static bool read_fields(inputs * in, const char * of, js_value_t * object, const field * fields,
                        void * target) {
    js_value_t *names, *key, *value;
    uint32_t length = 0;
    if (!is(in->env, object, js_object))
        return refuse(in->env, "%sfields: are not an object", of);
    if (js_get_property_names(in->env, object, &names) < 0)
        return false;
    js_get_array_length(in->env, names, &length);
    for (uint32_t i = 0; i < length; ++i) {
        const char * key_text;
        char name[96];
        if (js_get_element(in->env, names, i, &key) < 0 || !read_text(in, of, key, &key_text) ||
            js_get_property(in->env, object, key, &value) < 0)
            return false;
        const field * f = fields;
        while (f->name && strcmp(f->name, key_text) != 0)
            ++f;
        snprintf(name, sizeof name, "%s%s", of, key_text);
        if (!f->name)
            return refuse(in->env, "%s: there is no such option", name);
        if (!is(in->env, value, js_undefined) && !is(in->env, value, js_null) &&
            !read_value(in, f, name, value, target))
            return false;
    }
    return true;
}

bool read_session(inputs * in, js_value_t * files, js_value_t * options,
                  ltx2_session_params * out) {
    bool array = false;
    uint32_t length = 0;
    if (js_is_array(in->env, files, &array) < 0 || !array)
        return refuse(in->env, "files: is not an array");
    js_get_array_length(in->env, files, &length);
    const char ** names = keep(in, length * sizeof *names);
    for (uint32_t i = 0; names && i < length; ++i) {
        js_value_t * element;
        char name[32];
        snprintf(name, sizeof name, "files[%u]", (unsigned)i);
        if (js_get_element(in->env, files, i, &element) < 0 ||
            !read_text(in, name, element, &names[i]))
            return false;
    }
    out->files = names;
    out->file_count = length;
    return names && read_fields(in, "", options, session_fields, out);
}

bool read_video(inputs * in, js_value_t * options, ltx2_video_params * out) {
    return read_fields(in, "", options, video_fields, out);
}

void free_inputs(inputs * in) {
    while (in->first) {
        block * next = in->first->next;
        free(in->first);
        in->first = next;
    }
}
