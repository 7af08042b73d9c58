/* What JavaScript gives, as the structs of ltx2.h. Nothing is assumed of its type, and all is
 * copied, since JavaScript may change or detach it while a call on another thread reads it. */
#ifndef LTX2_BARE_OPTIONS_H
#define LTX2_BARE_OPTIONS_H

#include <js.h>
#include <ltx2.h>

typedef struct block block;
typedef struct inputs { /* what one call reads */
    js_env_t * env;
    block * first;
} inputs;

/* Fill a struct; false where something was thrown. Names of options are those of its fields. */
bool read_session(inputs * in, js_value_t * files, js_value_t * options, ltx2_session_params * out);
bool read_video(inputs * in, js_value_t * options, ltx2_video_params * out);
void free_inputs(inputs * in);

bool is(js_env_t * env, js_value_t * value, js_value_type_t type);
/* Throws a TypeError whose code is INVALID_ARGUMENT, and is false. */
bool refuse(js_env_t * env, const char * format, ...);

#endif
