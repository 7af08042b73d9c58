/* ltx2: video from a prompt, or from a prompt and images, with LTX-2 on the machine at hand.
 *
 *   const char * files[] = {"models"};
 *   ltx2_session_params open = {.size = sizeof open, .files = files, .file_count = 1};
 *   ltx2_video_params want = {.size = sizeof want, .prompt = "a red circle moves right"};
 *   ltx2_session * session = NULL;
 *   ltx2_video * video = NULL;
 *   if (ltx2_session_open(&open, &session) == LTX2_STATUS_OK &&
 *       ltx2_session_generate(session, &want, &video) == LTX2_STATUS_OK)
 *       show(video->pixels); // frames x height x width x 3
 *   else
 *       puts(ltx2_last_error());
 *   ltx2_video_free(video);
 *   ltx2_session_close(session);
 *
 * Fields: zero is the default, which the comment names; what can be off is off when negative.
 * Structs: set `size` to sizeof the struct. Structs with a size, and those that only the library
 * makes, grow at the end only; the others never change. So a newer library serves older programs.
 * Memory: inputs are read during the call and never kept. Outputs are the caller's, released by the
 * function named at the type; a call that fails leaves its output NULL.
 * Errors: a status, with words in ltx2_last_error().
 * Threads: a session serves one at a time; sessions are independent of each other. A thread that is
 * cancelled within a call ends after it.
 * Misuse: what can be told is refused as INVALID_ARGUMENT: a session that is closed, a second call
 * on one under way, a pointer that is null or not aligned. What is released twice is released once;
 * but an address may come again, of a video, a text or a conversion made later.
 * Your functions must return: what they throw is caught and ends the call, as INVALID_ARGUMENT; to
 * leave one by longjmp, or by ending its thread, is undefined. */
#ifndef LTX2_H
#define LTX2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(LTX2_STATIC) /* linked into the program itself */
#define LTX2_API
#elif defined(_WIN32) && defined(LTX2_BUILD)
#define LTX2_API __declspec(dllexport)
#elif defined(_WIN32)
#define LTX2_API __declspec(dllimport)
#else
#define LTX2_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- declarations: plain C99, also read by Python --- */

typedef enum ltx2_status {
    LTX2_STATUS_OK = 0,
    LTX2_STATUS_CANCELLED = 1,         /* by the progress or latents function, or by closing */
    LTX2_STATUS_INVALID_ARGUMENT = -1,
    LTX2_STATUS_MODEL = -2,            /* missing, damaged, changed while in use, or not LTX-2 */
    LTX2_STATUS_OUT_OF_MEMORY = -3,
    LTX2_STATUS_DEVICE = -4,           /* no such device, or it failed */
    LTX2_STATUS_INTERNAL = -5          /* a defect of this library */
} ltx2_status;

LTX2_API const char * ltx2_version(void);    /* "major.minor.patch", static */
LTX2_API const char * ltx2_last_error(void); /* of this thread; valid until its next failure */

/* level: 10 debug, 20 info, 30 warning, 40 error. Called on whichever thread has something to say,
   on one at a time. It had better not call back into the library: others wait meanwhile, and what
   that would say, or what the function throws, is dropped. Without one, nothing is printed. */
typedef void (*ltx2_log_fn)(int level, const char * message, void * user_data);
/* For the process; NULL unsets. Afterwards the function before is never called again. */
LTX2_API void ltx2_log_set(ltx2_log_fn log, void * user_data);

LTX2_API int32_t ltx2_device_count(void);
LTX2_API const char * ltx2_device_name(int32_t index); /* "Vulkan0", "CPU"; NULL out of range */

/* What a trial of each shows, as JSON: [{"name", "description", "kind" ("cpu", "gpu", "integrated"),
   "library", "driver", "memory", "memory_free" (null: unknown), "speed" in multiply-adds a second,
   "error": NMSE against the processor's, "lacks": what that computes for it, "problem" or null}].
   OUT_OF_MEMORY, DEVICE. */
LTX2_API ltx2_status ltx2_try_devices(char ** out);
/* What this library knows, as JSON: {"version", "defaults" where no file states any, "schedules",
   "samplers", "recipes", "stages" of progress, "parts" of a model with "id", "title", "need"
   ("always", "optional", "extends": an adapter, or "never": recognised, not used), "types" and "variants" of a
   conversion, "instruction_sets" that run here, the best last}. Released by ltx2_text_free. OUT_OF_MEMORY. */
LTX2_API ltx2_status ltx2_capabilities(char ** out);
/* What a model file holds, as JSON, without loading weights: {"file", "format", "parts", "problem"
   (why it cannot be used, or null), "tensors", "parameters", "bytes", "types" with the same counts,
   "license", "metadata", "tensor_list" with "name", "type", "shape" (outermost first), "offset" in the
   file, "bytes", and "sha256" where the file states it}. A part has "geometry", the "generations" it can
   be of, and the counts. Of long metadata {"begins", "length"}. ltx2_text_free. MODEL, OUT_OF_MEMORY. */
LTX2_API ltx2_status ltx2_file_describe(const char * file, char ** out);
LTX2_API void ltx2_text_free(char * text); /* NULL is ignored */

/* An adapter (LoRA) of any maker's key names: safetensors or GGUF. Its matrices stay beside the
   model's, which are not touched. */
typedef struct ltx2_lora {
    const char * file;
    float strength;                    /* of what it adds; may be negative; default: 1 */
} ltx2_lora;

typedef struct ltx2_session ltx2_session; /* opening reads metadata; weights load when needed */
typedef struct ltx2_session_params {
    size_t size;
    const char * const * files;        /* GGUF or safetensors files, or folders of them */
    size_t file_count;                 /* at least 1 */
    const char * device;               /* what computes, by name; default: "auto", the fastest that
                                          a trial finds right and that has memory for the weights */
    int32_t threads;                   /* on the processor; default: one per physical core that
                                          this process may use */
    bool keep_loaded;                  /* keep every component in memory between calls: faster, and
                                          much larger; default: each leaves after its stage */
    bool low_memory;                   /* weights are read ahead and given back layer by layer, for 2 GiB
                                          in all, the system's cache of model files counted, as far as the
                                          video's size lets it; default: where the machine or the
                                          container has less than a run wants, up to what it has */
    const ltx2_lora * loras;           /* adapters that change the model's matrices; default: none */
    size_t lora_count;
} ltx2_session_params;

LTX2_API ltx2_status ltx2_session_open(const ltx2_session_params * params, ltx2_session ** out);
/* The name of what computes, for "auto" the one chosen; valid as ltx2_device_name's. NULL: closed. */
LTX2_API const char * ltx2_session_device(ltx2_session * session);
/* NULL is ignored. A call that is under way stops, and the session goes when that has ended. */
LTX2_API void ltx2_session_close(ltx2_session * session);

typedef struct ltx2_image {            /* a picture that the video passes through */
    const uint8_t * pixels;            /* height x width x 3, RGB; any size, fitted to cover */
    int32_t width, height;
    int32_t frame;                     /* of the video; default: the first */
    float strength;                    /* above 0, up to 1; default: 1 */
} ltx2_image;

typedef struct ltx2_clip {             /* frames of a video that is there */
    const uint8_t * pixels;            /* frames x height x width x 3, RGB; any size, fitted to cover */
    int32_t frames, height, width;     /* frames: of those, 8k + 1 are used */
} ltx2_clip;
typedef struct ltx2_sound {            /* a sound that is there */
    const float * samples;             /* count x channels, in -1..1 */
    int64_t count;
    int32_t channels;                  /* one is both sides, of more the first two are used */
    int32_t sample_rate;               /* samples a second */
} ltx2_sound;

/* A video that another is made by: an IC-LoRA has learnt how, as by depth, pose or edges. The
   factors are how much smaller than the video it is, and which share of its frames it has. */
typedef struct ltx2_reference {
    ltx2_clip clip;                    /* at the video's rate */
    float strength;                    /* above 0, up to 1; default: 1 */
    float attention;                   /* how strongly both look at each other, above 0, up to 1;
                                          default: 1 */
    int32_t downscale, temporal;       /* default: what the adapters' files state, else 1 */
} ltx2_reference;

/* stage: "load", "enhance", "text", "image", "denoise", "upscale", "decode" or "sound". Called on the calling
   thread, at least at each step and often between, and as "load" while a plan, or a call that may not fit,
   is counted. Returning false stops: the call gives LTX2_STATUS_CANCELLED. */
typedef struct ltx2_progress {
    const char * stage;
    int32_t done, total;
} ltx2_progress;
typedef bool (*ltx2_progress_fn)(const ltx2_progress * progress, void * user_data);

/* What a decoder makes frames of. Made by the library, it is freed by the library. */
typedef struct ltx2_latents {
    const float * values;              /* normalised: channels x frames x height x width */
    int32_t channels, frames, height, width;
} ltx2_latents;
/* Receives the final latents, before they are decoded; they are gone after the video is freed, or
   the call has failed. Returning false stops, as with progress. */
typedef bool (*ltx2_latents_fn)(const ltx2_latents * latents, void * user_data);

/* Prompts as text features, which the transformer reads. */
typedef struct ltx2_features {
    const float * values;              /* rows x width: of the prompt */
    const float * negative;            /* rows x width: of the negative prompt, where guidance is on;
                                          default: none */
    int32_t rows, width;
} ltx2_features;

/* Where a run is between two steps: all that it needs to go on, with the same settings, images and
   features, to the same video. */
typedef struct ltx2_state {
    int32_t step;                      /* how many are done */
    const float * values;              /* in an order of the library's own */
    size_t count;                      /* floats in values */
    const ltx2_latents * predicted;    /* what the last step took the final latents for; not read
                                          when a run goes on */
} ltx2_state;
/* Receives the state after each step; it is gone after the call. Returning false stops. */
typedef bool (*ltx2_state_fn)(const ltx2_state * state, void * user_data);

/* What took how long: a "stage", in it a "graph", as a block is one, in that a "node", which is what
   one kernel does. Told as it ends; returning false stops, as with progress. */
typedef struct ltx2_span {
    const char * kind, * name;
    double begin, seconds;             /* begin: since the call's */
} ltx2_span;
typedef bool (*ltx2_span_fn)(const ltx2_span * span, void * user_data);

typedef struct ltx2_video_params {
    size_t size;

    /* what it shows */
    const char * prompt;               /* UTF-8, required */
    const char * negative_prompt;      /* what to avoid, where guidance is on; "" is nothing;
                                          default: the model's own, else a list of usual faults */
    const ltx2_image * images;         /* default: none, the text alone */
    size_t image_count;

    /* its size; sides are multiples of 64 for a recipe of several stages */
    int32_t width;                     /* pixels, a multiple of 32; default: the model's own, 768 */
    int32_t height;                    /* pixels, a multiple of 32; default: the model's own, 512 */
    int32_t frames;                    /* 8k + 1; default: as many as the model's duration head tells
                                          from the prompt, without one the model's own, 121 */
    float fps;                         /* frames per second; default: the model's own, 24 */

    /* how it is sampled */
    const char * schedule;             /* noise schedule, by name; default: the model's own */
    int32_t steps;                     /* denoising steps; default: the model's own */
    float guidance;                    /* how closely to follow the prompt; 1 or negative is off;
                                          default: the model's own */
    float stg;                         /* spatio-temporal guidance; negative is off; default: the
                                          model's own */
    float rescale;                     /* how much of guidance's gain in contrast to take back,
                                          0..1; negative is off; default: the model's own */
    uint64_t seed;                     /* same seed, same device, same video */
    const float * noise;               /* replaces the seed's; in the shape of the latents */
    size_t noise_count;                /* floats in noise */

    /* while it is made */
    ltx2_progress_fn progress;
    ltx2_latents_fn latents;
    void * user_data;                  /* for all functions */

    /* what is done already */
    const ltx2_features * features;    /* of the prompts, which are then not read; default: they are
                                          encoded */
    const ltx2_state * resume;         /* go on from there; default: from noise */
    ltx2_state_fn state;

    const char * sampler;              /* how a step is made, by name; default: the model's own,
                                          mostly "euler" */
    const char * recipe;               /* which stages make it, by name: several begin at half the
                                          size, and need a latent upsampler; default: "one-stage" */
    int32_t audio;                     /* its sound too; negative is off, which makes another video,
                                          of less work; default: where the model makes sound */
    float audio_guidance;              /* how closely the sound follows the prompt; 1 or negative is
                                          off; default: the model's own */
    float modality_guidance;           /* how closely video and sound follow each other; 1 or
                                          negative is off; default: the model's own */

    /* what else it is made by */
    bool keyframes;                    /* the image of frame 0 guides as later ones do: the video
                                          moves between them; default: it is the frame itself */
    const ltx2_reference * references; /* in the first stage, in which alone the session's adapters
                                          then count; default: none */
    size_t reference_count;
    const ltx2_clip * source;          /* a part of the video that is kept; default: none */
    const ltx2_sound * sound;          /* the same of its sound. Where all of it is, the video gets
                                          these samples */
    int32_t begin;                     /* frame of the video where both begin, a multiple of 8 */
    float retake_start, retake_end;    /* seconds of the video that are made anew; default: none */
    const char * retake_what;          /* of both: "video" or "audio"; default: both */

    ltx2_span_fn span;                 /* default: nothing is measured */
    const char * refine_sigmas;        /* noise levels of the stages after the first, each below the one
                                          before, as "0.85, 0.725, 0.4219"; default: the recipe's own */
    const char * generated_keyframes;  /* frames that LTX-2.5 makes beside the video, for finer motion:
                                          how many, or which, as "24, 48" or "24,"; default: none */
    int32_t temporal_upscalings;       /* how often "dfr" doubles frames and rate, 0..2; default: 0 */
} ltx2_video_params;

typedef struct ltx2_frames_params {    /* frames to encode */
    size_t size;
    const uint8_t * pixels;            /* frames x height x width x 3, RGB, required */
    int32_t frames, height, width;     /* 8k + 1; multiples of 32 */
    ltx2_progress_fn progress;
    void * user_data;
} ltx2_frames_params;

typedef struct ltx2_decode_params {    /* a decode alone, of latents that were kept */
    size_t size;
    const ltx2_latents * latents;      /* required */
    float fps;                         /* of them; default: the model's own, 24 */
    ltx2_progress_fn progress;
    void * user_data;
    bool upscale;                      /* through the latent upsampler first, which may double fps */
    uint64_t seed;                     /* of the run that made them: a decoder may begin with noise */
} ltx2_decode_params;

typedef struct ltx2_video {            /* made by the library only */
    const uint8_t * pixels;            /* frames x height x width x 3, RGB */
    int32_t frames, height, width;
    float fps;
    const ltx2_latents * latents;      /* what was decoded */
    const float * audio;               /* samples x 2, in -1..1, from the video's first moment on;
                                          NULL: no sound */
    int64_t audio_samples;
    int32_t sample_rate;               /* samples a second */
} ltx2_video;

/* What a video of these params is made with, as JSON: the options, with the defaults filled in and seed and
   noise left out, where "negative_prompt" is null if none is read, and "frames" where a duration head has no
   features to tell "predicted_seconds" from; "usual_frames", the model's own; "loras", where there are some, each
   with "file" and "strength"; "generation" of the model, the "crf" of the codec whose marks its training pictures
   had; "device"; "parts" of the model, each with a fingerprint of its tensors. Released by ltx2_text_free. */
LTX2_API ltx2_status ltx2_session_settings(ltx2_session * session, const ltx2_video_params * params,
                                           char ** out);
/* The text features of a video of these params. Only this needs a text encoder: a session without
   one takes features in place of prompts. */
LTX2_API ltx2_status ltx2_session_encode(ltx2_session * session, const ltx2_video_params * params,
                                         ltx2_features ** out);
LTX2_API void ltx2_features_free(ltx2_features * features); /* NULL is ignored */
/* The latents of given frames, in a video that has nothing else. */
LTX2_API ltx2_status ltx2_session_encode_frames(ltx2_session * session,
                                                const ltx2_frames_params * params,
                                                ltx2_video ** out);

/* Receives text in pieces, each of whole characters. Returning false stops, as with progress. */
typedef bool (*ltx2_text_fn)(const char * text, void * user_data);
typedef struct ltx2_enhance_params {   /* a prompt, for the text encoder to enhance */
    size_t size;
    const char * prompt;               /* UTF-8, required */
    const char * instructions;         /* what it is asked to do with the prompt; default: the library's
                                          own words */
    bool of_image;                     /* the video begins with a picture, whose looks are then left
                                          out; the picture itself is not looked at */
    uint64_t seed;
    float temperature;                 /* how freely it writes; negative is off: always the likeliest
                                          token; default: 0.7 */
    int32_t top_k;                     /* of how many tokens each is drawn; default: 50 */
    int32_t tokens;                    /* at most; default: 512 */
    ltx2_progress_fn progress;
    ltx2_text_fn text;                 /* receives the answer while it is written, as it is written */
    void * user_data;                  /* for both functions */
} ltx2_enhance_params;
/* A prompt of more words, to be used in place of the given one, which it is where the text encoder has
   no answer. Released by ltx2_text_free. Errors: MODEL where the text encoder cannot be asked, as the
   demo's. */
LTX2_API ltx2_status ltx2_session_enhance(ltx2_session * session, const ltx2_enhance_params * params,
                                          char ** out);
LTX2_API ltx2_status ltx2_session_generate(ltx2_session * session, const ltx2_video_params * params,
                                           ltx2_video ** out);
/* What generate would take with these, as JSON, before a weight is read: "width", "height", "frames" and "fps" of
   what is made, doublings counted ("frames_assumed": a duration head will tell), "recipe", "steps", "audio", "passes"
   of each step; "stages" with "stage", "seconds", and in bytes "mapped" and "copied" (weights) and "activations";
   "seconds" in all; "memory" with "own" (the most at once without mapped weights, whose pages the
   system takes back when it needs them) and "with_mapped"; "available" and "fits", else "nearest" with "width",
   "height" and "frames" that would be made; "speeds" of this machine, measured in a second or two unless `speeds`
   brings those of an earlier plan; "busy": others had the processor, so seconds are too many. Released by
   ltx2_text_free. Errors: generate's. */
LTX2_API ltx2_status ltx2_session_plan(ltx2_session * session, const ltx2_video_params * params,
                                       const char * speeds, char ** out);
LTX2_API ltx2_status ltx2_session_decode(ltx2_session * session, const ltx2_decode_params * params,
                                         ltx2_video ** out);
LTX2_API void ltx2_video_free(ltx2_video * video); /* NULL is ignored */

typedef struct ltx2_conversion_params {
    size_t size;
    const char * const * files;        /* a text encoder, or parts of a checkpoint */
    size_t file_count;
    const char * type;                 /* of large matrices, by name; default: q8_0 */
    const char * variant;              /* whose sampling to state where no file does; default: what
                                          the file's name says */
    const char * const * tensor_type;  /* "PATTERN=TYPE": of the matrices whose names in the new file have
                                          the pattern, where # stands for a number and * for anything; the
                                          first that fits counts; default: the rules of docs/gguf.md */
    size_t tensor_type_count;
    int32_t audio;                     /* the sound's tensors too; negative leaves them out; default:
                                          kept, where there are some */
    uint64_t target_size;              /* bytes that the file takes at most: in place of `type`, the
                                          types are picked that cost least; default: `type` counts */
    const ltx2_lora * loras;           /* merged into the matrices, before these are stored */
    size_t lora_count;
} ltx2_conversion_params;
/* One GGUF file that replaces others. The caller writes it: keys and table from the plan, then each
   tensor's values, at multiples of 32 bytes. */
typedef struct ltx2_conversion {
    const char * plan;                 /* JSON: architecture; metadata, by key, where an integer is
                                          u32, i32 in an array, and another number f32, with
                                          ltx2.tensor_sha256 to be filled in; tensors: name, part,
                                          type, type_id (GGUF's), shape (outermost first), bytes,
                                          source_bytes; dropped, by part: tensors, parameters,
                                          bytes; size of the file */
    const char * const * files;        /* that it is made of, or that were read for it */
    size_t file_count;
} ltx2_conversion;
LTX2_API ltx2_status ltx2_conversion_open(const ltx2_conversion_params * params,
                                          ltx2_conversion ** out);
/* Values first .. first + count of a tensor, multiples of 256 or up to its end, as `size` bytes of the new file,
   at an address that is a multiple of 4; computed on all cores. Errors: MODEL where the type cannot hold a value. */
LTX2_API ltx2_status ltx2_conversion_read(const ltx2_conversion * conversion, int32_t tensor,
                                          int64_t first, int64_t count, void * out, size_t size);
LTX2_API void ltx2_conversion_close(ltx2_conversion * conversion); /* NULL is ignored */

/* --- end of declarations --- */

#ifdef __cplusplus
}
#endif
#endif
