/* The public header alone, as C99: every way to call the library wrongly gives a status and words.
 */
#include "ltx2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed = 0;

static void check(int good, const char * what) {
    if (!good) {
        fprintf(stderr, "failed: %s; last error: %s\n", what, ltx2_last_error());
        ++failed;
    }
}

static void open_wrongly(void) {
    ltx2_session * session = (ltx2_session *)&failed;
    struct {
        ltx2_session_params known;
        uint64_t more; /* of a newer header */
    } newer;
    ltx2_session_params params;
    const char * files[1];
    memset(&params, 0, sizeof params);
    memset(&newer, 0, sizeof newer);

    check(ltx2_session_open(NULL, &session) == LTX2_STATUS_INVALID_ARGUMENT, "null params");
    check(session == NULL, "the session is null after a failure");
    check(ltx2_session_open(&params, NULL) == LTX2_STATUS_INVALID_ARGUMENT, "null out");
    check(ltx2_session_open(&params, &session) == LTX2_STATUS_INVALID_ARGUMENT, "size 0");
    check(strstr(ltx2_last_error(), "size") != NULL, "the words name the size");
    params.size = sizeof params - 3;
    check(ltx2_session_open(&params, &session) == LTX2_STATUS_INVALID_ARGUMENT, "half a field");
    params.size = SIZE_MAX;
    check(ltx2_session_open(&params, &session) == LTX2_STATUS_INVALID_ARGUMENT, "no size at all");
    newer.known.size = sizeof newer;
    check(ltx2_session_open(&newer.known, &session) == LTX2_STATUS_INVALID_ARGUMENT, "no files");
    check(strstr(ltx2_last_error(), "file") != NULL, "a newer struct whose new field is zero");
    newer.more = 1;
    check(ltx2_session_open(&newer.known, &session) == LTX2_STATUS_INVALID_ARGUMENT, "newer field");
    check(strstr(ltx2_last_error(), "not zero") != NULL, "the words name the new field");
    params.size = sizeof params;
    check(ltx2_session_open(&params, &session) == LTX2_STATUS_INVALID_ARGUMENT, "no files");
    params.file_count = 1;
    check(ltx2_session_open(&params, &session) == LTX2_STATUS_INVALID_ARGUMENT, "files null");
    files[0] = NULL;
    params.files = files;
    check(ltx2_session_open(&params, &session) == LTX2_STATUS_INVALID_ARGUMENT, "a file null");
    files[0] = "no/such/file.gguf";
    check(ltx2_session_open(&params, &session) == LTX2_STATUS_MODEL, "no such file");
    check(strstr(ltx2_last_error(), "no/such/file.gguf") != NULL, "the words name the file");
    params.threads = -1;
    check(ltx2_session_open(&params, &session) == LTX2_STATUS_INVALID_ARGUMENT, "threads -1");
    ltx2_session_close(session);
    ltx2_session_close(NULL);
}

static void generate_wrongly(void) {
    ltx2_video * video = (ltx2_video *)&failed;
    ltx2_video_params params;
    memset(&params, 0, sizeof params);
    params.size = sizeof params;
    check(ltx2_session_generate(NULL, &params, &video) == LTX2_STATUS_INVALID_ARGUMENT,
          "null session");
    check(video == NULL, "the video is null after a failure");
    check(ltx2_session_generate(NULL, &params, NULL) == LTX2_STATUS_INVALID_ARGUMENT, "null out");
    ltx2_video_free(NULL);
}

static void encode_wrongly(void) {
    ltx2_features * features = (ltx2_features *)&failed;
    ltx2_video * video = (ltx2_video *)&failed;
    char * text = (char *)&failed;
    ltx2_video_params params;
    ltx2_frames_params frames;
    memset(&params, 0, sizeof params);
    memset(&frames, 0, sizeof frames);
    params.size = sizeof params;
    frames.size = sizeof frames;
    check(ltx2_session_encode(NULL, &params, &features) == LTX2_STATUS_INVALID_ARGUMENT, "encode");
    check(features == NULL, "the features are null after a failure");
    check(ltx2_session_settings(NULL, &params, &text) == LTX2_STATUS_INVALID_ARGUMENT, "settings");
    check(text == NULL, "the settings are null after a failure");
    check(ltx2_session_enhance(NULL, NULL, &text) == LTX2_STATUS_INVALID_ARGUMENT, "enhance");
    check(text == NULL, "the prompt is null after a failure");
    check(ltx2_session_encode_frames(NULL, &frames, &video) == LTX2_STATUS_INVALID_ARGUMENT,
          "encode frames");
    check(video == NULL && strstr(ltx2_last_error(), "pixels") != NULL, "no pixels");
    ltx2_features_free(NULL);
}

static void describe_wrongly(void) {
    char * text = (char *)&failed;
    check(ltx2_file_describe("no/such/file.gguf", &text) == LTX2_STATUS_MODEL, "describe nothing");
    check(text == NULL, "the text is null after a failure");
    check(ltx2_file_describe(NULL, &text) == LTX2_STATUS_INVALID_ARGUMENT, "describe null");
    ltx2_text_free(NULL);
}

int main(void) {
    int cpu = 0;
    int32_t i;
    check(strcmp(ltx2_version(), LTX2_VERSION) == 0, "version");
    for (i = 0; i < ltx2_device_count(); ++i)
        cpu |= strcmp(ltx2_device_name(i), "CPU") == 0;
    check(cpu, "there is a device CPU");
    check(ltx2_device_name(-1) == NULL && ltx2_device_name(i) == NULL, "names out of range");
    open_wrongly();
    generate_wrongly();
    encode_wrongly();
    describe_wrongly();
    return failed != 0;
}
