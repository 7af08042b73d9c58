/* The addon that index.js calls.
 *
 * A call of the library has a thread of its own: it may take hours, and libuv's four serve files
 * too. What the thread has to say, its progress and its end, it leaves in `call` and wakes the loop
 * by `news`; only the loop's thread touches JavaScript. An environment that ends, by Bare.exit or
 * as a worker that is terminated, waits until its calls have stopped. */
#include "options.h"

#include <bare.h>
#include <js.h>
#include <ltx2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

typedef struct session {
    ltx2_session * opened; /* the library tells one that is closed, so it is never forgotten here */
    atomic_int cancels;    /* a call ends when this is no longer what it was at its beginning */
    bool busy;             /* the library would tell, but of two threads not which came first */
} session;

typedef struct call {
    js_env_t * env;
    js_deferred_t * promise;
    js_deferred_teardown_t * teardown; /* NULL until the environment is asked to wait */
    bool abandoned;                    /* by the environment, which ends */
    session * session;
    js_ref_t * session_kept; /* by JavaScript; NULL of one that is being opened, which is ours */
    js_ref_t * progress;     /* or NULL */
    int cancels_before;
    inputs inputs;
    ltx2_session_params open;
    ltx2_video_params want;
    uv_thread_t thread;
    bool joinable;

    uv_async_t news;
    uv_mutex_t lock; /* for what follows */
    char stage[16];
    int32_t done, total;
    bool unsaid, ended;
    ltx2_status status;
    char * words;
    ltx2_video * video;
} call;

/* ---- on the call's thread */

static bool on_progress(const ltx2_progress * progress, void * user_data) {
    call * c = user_data;
    uv_mutex_lock(&c->lock);
    const bool news = strncmp(c->stage, progress->stage, sizeof c->stage - 1) != 0 ||
                      c->done != progress->done || c->total != progress->total;
    if (news) {
        snprintf(c->stage, sizeof c->stage, "%s", progress->stage);
        c->done = progress->done;
        c->total = progress->total;
        c->unsaid = true;
    }
    uv_mutex_unlock(&c->lock);
    if (news && c->progress)
        uv_async_send(&c->news);
    return atomic_load(&c->session->cancels) == c->cancels_before;
}

static void end(call * c, ltx2_status status, const char * words) {
    char * copy = status == LTX2_STATUS_OK ? NULL : malloc(strlen(words) + 1);
    uv_mutex_lock(&c->lock);
    c->status = status;
    c->words = copy ? strcpy(copy, words) : NULL;
    c->ended = true;
    uv_mutex_unlock(&c->lock);
    uv_async_send(&c->news);
}

static void run_open(void * data) {
    call * c = data;
    const ltx2_status status = ltx2_session_open(&c->open, &c->session->opened);
    end(c, status, ltx2_last_error());
}

static void run_generate(void * data) {
    call * c = data;
    const ltx2_status status = ltx2_session_generate(c->session->opened, &c->want, &c->video);
    end(c, status, ltx2_last_error());
}

/* ---- on the loop's thread */

static const char * name_of(ltx2_status status) {
    switch (status) {
    case LTX2_STATUS_CANCELLED:
        return "CANCELLED";
    case LTX2_STATUS_INVALID_ARGUMENT:
        return "INVALID_ARGUMENT";
    case LTX2_STATUS_MODEL:
        return "MODEL";
    case LTX2_STATUS_OUT_OF_MEMORY:
        return "OUT_OF_MEMORY";
    case LTX2_STATUS_DEVICE:
        return "DEVICE";
    default:
        return "INTERNAL";
    }
}

static void close_session(void * data) { ltx2_session_close(((session *)data)->opened); }

/* Also of a session that was closed. An environment that ends calls no finalisers, only what
   js_add_teardown_callback was given: then these few bytes stay, and the model does not. */
static void free_session(js_env_t * env, void * data, void * hint) {
    (void)hint;
    js_remove_teardown_callback(env, close_session, data);
    close_session(data);
    free(data);
}

/* A video that JavaScript sees: its pixels and its sound are a buffer each. */
typedef struct shown {
    ltx2_video * video;
    atomic_int buffers;
} shown;

static void free_buffer(js_env_t * env, void * data, void * of) {
    (void)env; /* NULL, maybe on another thread */
    (void)data;
    shown * s = of;
    if (atomic_fetch_sub(&s->buffers, 1) > 1)
        return;
    ltx2_video_free(s->video);
    free(s);
}

/* A buffer of the video's own memory as `object`'s property; false where it could not be made. */
static bool show(js_env_t * env, shown * s, const void * data, size_t count, bool floats,
                 js_value_t * object, const char * name) {
    js_value_t *buffer, *array;
    const size_t bytes = count * (floats ? sizeof(float) : 1);
    atomic_fetch_add(&s->buffers, 1);
    if (js_create_external_arraybuffer(env, (void *)data, bytes, free_buffer, s, &buffer) < 0) {
        free_buffer(env, NULL, s);
        return false;
    }
    return js_create_typedarray(env, floats ? js_float32array : js_uint8array, count, buffer, 0,
                                &array) == 0 &&
           js_set_named_property(env, object, name, array) == 0;
}

static js_value_t * made_session(call * c) {
    js_value_t * external = NULL;
    if (js_create_external(c->env, c->session, free_session, NULL, &external) < 0)
        return NULL;
    js_add_teardown_callback(c->env, close_session, c->session);
    c->session = NULL; /* JavaScript's from here on */
    return external;
}

static js_value_t * made_video(call * c) {
    const ltx2_video * video = c->video;
    const size_t pixels = (size_t)video->frames * video->height * video->width * 3;
    js_value_t *object, *value;
    shown * s = calloc(1, sizeof *s);
    if (!s || js_create_object(c->env, &object) < 0)
        return free(s), NULL;
    s->video = c->video; /* the buffers' from here on, and this function's as long as it runs */
    s->buffers = 1;
    c->video = NULL;
    bool made = show(c->env, s, video->pixels, pixels, false, object, "pixels");
    js_create_int32(c->env, video->frames, &value);
    js_set_named_property(c->env, object, "frames", value);
    js_create_int32(c->env, video->height, &value);
    js_set_named_property(c->env, object, "height", value);
    js_create_int32(c->env, video->width, &value);
    js_set_named_property(c->env, object, "width", value);
    js_create_double(c->env, video->fps, &value);
    js_set_named_property(c->env, object, "fps", value);
    if (made && video->audio) {
        const size_t values = 2 * (size_t)video->audio_samples;
        made = show(c->env, s, video->audio, values, true, object, "audio");
        js_create_int32(c->env, video->sample_rate, &value);
        js_set_named_property(c->env, object, "sample_rate", value);
    }
    free_buffer(c->env, NULL, s);
    return made ? object : NULL;
}

static void settle(call * c) {
    js_value_t *value = NULL, *code, *words;
    if (c->status == LTX2_STATUS_OK)
        value = c->video ? made_video(c) : made_session(c);
    if (value) {
        js_resolve_deferred(c->env, c->promise, value);
        return;
    }
    const char * name = name_of(c->status);
    const char * text = c->words ? c->words : name;
    js_create_string_utf8(c->env, (const utf8_t *)name, (size_t)-1, &code);
    js_create_string_utf8(c->env, (const utf8_t *)text, (size_t)-1, &words);
    js_create_error(c->env, code, words, &value);
    js_reject_deferred(c->env, c->promise, value);
}

static void free_call(call * c) {
    free_inputs(&c->inputs);
    if (c->session_kept)
        js_delete_reference(c->env, c->session_kept);
    else if (c->session) { /* one that could not be opened, or that nobody is left for */
        close_session(c->session);
        free(c->session);
    }
    if (c->progress)
        js_delete_reference(c->env, c->progress);
    if (c->teardown)
        js_finish_deferred_teardown_callback(c->teardown);
    ltx2_video_free(c->video);
    free(c->words);
    free(c);
}

static void on_closed(uv_handle_t * news) {
    call * c = news->data;
    uv_mutex_destroy(&c->lock);
    free_call(c);
}

static void say(call * c, const char * stage, int32_t done, int32_t total) {
    js_value_t *function, *receiver, *arguments[3];
    js_get_reference_value(c->env, c->progress, &function);
    js_get_undefined(c->env, &receiver);
    js_create_string_utf8(c->env, (const utf8_t *)stage, (size_t)-1, &arguments[0]);
    js_create_int32(c->env, done, &arguments[1]);
    js_create_int32(c->env, total, &arguments[2]);
    js_call_function(c->env, receiver, function, 3, arguments, NULL); /* index.js lets none throw */
}

/* Progress that comes faster than JavaScript takes it is left out: this tells the latest. */
static void on_news(uv_async_t * news) {
    call * c = news->data;
    js_handle_scope_t * scope;
    js_open_handle_scope(c->env, &scope);
    uv_mutex_lock(&c->lock);
    char stage[sizeof c->stage];
    memcpy(stage, c->stage, sizeof stage);
    const int32_t done = c->done, total = c->total;
    const bool unsaid = c->unsaid, ended = c->ended;
    c->unsaid = false;
    uv_mutex_unlock(&c->lock);
    if (unsaid && c->progress && !c->abandoned)
        say(c, stage, done, total);
    if (ended) {
        if (c->joinable)
            uv_thread_join(&c->thread);
        uv_close((uv_handle_t *)news, on_closed);
        c->session->busy = false;
        if (!c->abandoned)
            settle(c); /* what awaits it runs in here */
    }
    js_close_handle_scope(c->env, scope);
}

static void on_teardown(js_deferred_teardown_t * teardown, void * data) {
    call * c = data;
    (void)teardown; /* finished by free_call */
    c->abandoned = true;
    if (c->session) /* else JavaScript has it already: the call has ended */
        atomic_fetch_add(&c->session->cancels, 1);
}

/* ---- the functions */

static call * new_call(js_env_t * env) {
    call * c = calloc(1, sizeof *c);
    if (!c) {
        js_throw_error(env, "OUT_OF_MEMORY", "no memory for a call");
        return NULL;
    }
    c->env = c->inputs.env = env;
    return c;
}

/* The promise of what `run` makes; NULL where something was thrown. */
static js_value_t * begin(call * c, uv_thread_cb run) {
    uv_loop_t * loop;
    js_value_t * promise = NULL;
    if (js_get_env_loop(c->env, &loop) < 0 || uv_mutex_init(&c->lock) != 0)
        return free_call(c), NULL;
    if (uv_async_init(loop, &c->news, on_news) != 0) {
        js_throw_error(c->env, "INTERNAL", "the loop takes no more handles");
        uv_mutex_destroy(&c->lock);
        return free_call(c), NULL;
    }
    c->news.data = c;
    if (js_add_deferred_teardown_callback(c->env, on_teardown, c, &c->teardown) < 0 ||
        js_create_promise(c->env, &c->promise, &promise) < 0) {
        uv_close((uv_handle_t *)&c->news, on_closed);
        return NULL;
    }
    c->session->busy = true;
    c->joinable = uv_thread_create(&c->thread, run, c) == 0;
    if (!c->joinable)
        end(c, LTX2_STATUS_OUT_OF_MEMORY, "the system gives no thread");
    return promise;
}

static void read_arguments(js_env_t * env, js_callback_info_t * info, js_value_t ** out, size_t n) {
    js_get_callback_info(env, info, &n, out, NULL, NULL); /* undefined where there are fewer */
}

/* open(files, options): a promise of a session. */
static js_value_t * on_open(js_env_t * env, js_callback_info_t * info) {
    js_value_t * arguments[2];
    read_arguments(env, info, arguments, 2);
    call * c = new_call(env);
    if (!c)
        return NULL;
    c->open.size = sizeof c->open;
    c->session = calloc(1, sizeof *c->session);
    if (!c->session)
        js_throw_error(env, "OUT_OF_MEMORY", "no memory for a session");
    else if (read_session(&c->inputs, arguments[0], arguments[1], &c->open))
        return begin(c, run_open);
    free_call(c);
    return NULL;
}

static session * session_of(js_env_t * env, js_value_t * value) {
    void * data = NULL;
    if (is(env, value, js_external))
        js_get_value_external(env, value, &data);
    else
        refuse(env, "session: is not one that open gave");
    return data;
}

/* generate(session, options, progress): a promise of a video. */
static js_value_t * on_generate(js_env_t * env, js_callback_info_t * info) {
    js_value_t * arguments[3];
    read_arguments(env, info, arguments, 3);
    session * opened = session_of(env, arguments[0]);
    if (!opened)
        return NULL;
    if (opened->busy) {
        js_throw_error(env, "INVALID_ARGUMENT", "session: a call is under way");
        return NULL;
    }
    call * c = new_call(env);
    if (!c)
        return NULL;
    c->want.size = sizeof c->want;
    c->want.progress = on_progress;
    c->want.user_data = c;
    if (js_create_reference(env, arguments[0], 1, &c->session_kept) == 0 &&
        read_video(&c->inputs, arguments[1], &c->want) &&
        (!is(env, arguments[2], js_function) ||
         js_create_reference(env, arguments[2], 1, &c->progress) == 0)) {
        c->session = opened;
        c->cancels_before = atomic_load(&opened->cancels);
        return begin(c, run_generate);
    }
    free_call(c);
    return NULL;
}

/* Of a function whose one argument it is. */
static session * only_session(js_env_t * env, js_callback_info_t * info) {
    js_value_t * argument;
    read_arguments(env, info, &argument, 1);
    return session_of(env, argument);
}

static js_value_t * on_cancel(js_env_t * env, js_callback_info_t * info) {
    session * opened = only_session(env, info);
    if (opened)
        atomic_fetch_add(&opened->cancels, 1);
    return NULL;
}

static js_value_t * on_close(js_env_t * env, js_callback_info_t * info) {
    session * opened = only_session(env, info);
    if (opened)
        close_session(opened);
    return NULL;
}

static js_value_t * on_devices(js_env_t * env, js_callback_info_t * info) {
    (void)info;
    js_value_t *list, *name;
    if (js_create_array(env, &list) < 0)
        return NULL;
    for (int32_t i = 0; i < ltx2_device_count(); ++i) {
        const char * text = ltx2_device_name(i);
        if (js_create_string_utf8(env, (const utf8_t *)text, (size_t)-1, &name) < 0 ||
            js_set_element(env, list, (uint32_t)i, name) < 0)
            return NULL;
    }
    return list;
}

static js_value_t * register_functions(js_env_t * env, js_value_t * exports) {
    static const struct {
        const char * name;
        js_function_cb function;
    } functions[] = {{"open", on_open},
                     {"generate", on_generate},
                     {"cancel", on_cancel},
                     {"close", on_close},
                     {"devices", on_devices}};
    js_value_t * value;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; ++i) {
        if (js_create_function(env, functions[i].name, (size_t)-1, functions[i].function, NULL,
                               &value) < 0 ||
            js_set_named_property(env, exports, functions[i].name, value) < 0)
            return NULL;
    }
    js_create_string_utf8(env, (const utf8_t *)ltx2_version(), (size_t)-1, &value);
    js_set_named_property(env, exports, "version", value);
    return exports;
}

BARE_MODULE(ltx2, register_functions)
