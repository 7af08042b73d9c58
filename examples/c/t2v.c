/* A video from a prompt, as pictures 0000.ppm, 0001.ppm, ...: t2v PROMPT MODEL_FILE... */
#include <ltx2.h>
#include <stdio.h>

static int write_frame(const ltx2_video * video, int index) {
    char name[32];
    const size_t bytes = (size_t)video->height * video->width * 3;
    snprintf(name, sizeof name, "%04d.ppm", index);
    FILE * file = fopen(name, "wb");
    if (!file)
        return 0;
    fprintf(file, "P6\n%d %d\n255\n", video->width, video->height);
    const size_t written = fwrite(video->pixels + index * bytes, 1, bytes, file);
    return fclose(file) == 0 && written == bytes;
}

int main(int argc, char ** argv) {
    if (argc < 3)
        return fprintf(stderr, "usage: t2v PROMPT MODEL_FILE...\n"), 2;
    ltx2_session_params open = {.size = sizeof open, .file_count = (size_t)argc - 2};
    ltx2_video_params want = {.size = sizeof want, .prompt = argv[1], .seed = 1};
    ltx2_session * session = NULL;
    ltx2_video * video = NULL;
    open.files = (const char * const *)(argv + 2);
    int ok = ltx2_session_open(&open, &session) == LTX2_STATUS_OK &&
             ltx2_session_generate(session, &want, &video) == LTX2_STATUS_OK;
    if (!ok)
        fprintf(stderr, "t2v: %s\n", ltx2_last_error());
    for (int i = 0; ok && i < video->frames; ++i)
        if (!(ok = write_frame(video, i)))
            perror("t2v");
    ltx2_video_free(video);
    ltx2_session_close(session);
    return !ok;
}
