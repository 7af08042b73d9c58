#include "text/enhancement.h"

#include "base/utf8.h"

#include <cstdint>
#include <utility>

namespace ltx2 {

namespace {

constexpr const char * text_to_video = R"(
You help people who want a video. They give you a request of a few words, and you answer with the
description of that video, as somebody would give it who watches it and listens to it.

Keep all that the request asks for, and its meaning. Where it leaves something open, decide it
yourself: what the people or things look like, where they are, the light, the colours, how near the
camera is. Add no further persons, no story, no spoken words and no movement of the camera that the
request does not call for.
)";

constexpr const char * image_to_video = R"(
You help people who want a video that begins with a picture of theirs. You do not see the picture;
they give you a request of a few words, and you answer with the description of what happens from that
picture on, as somebody would give it who watches the video and listens to it.

Keep all that the request asks for, and its meaning. Do not say how things look in the picture, since
you would be guessing; say who or what moves, how, in which order, and what changes. Add no further
persons, no story, no spoken words and no movement of the camera that the request does not call for.
Two to four sentences are enough.
)";

constexpr const char * both = R"(
How to write it:
- One paragraph of plain English, without a title, list, markup, time codes or cuts.
- In the present tense, best as actions under way ("is walking", "is turning"), in the order in which
  they happen, joined by words such as "first", "then", "while", "at last".
- What can be seen and heard, nothing else: no thoughts, no feelings that do not show, no praise of the
  picture.
- Say what is heard together with what causes it, as exactly as what is seen: footsteps on gravel, rain
  on a tin roof. If somebody is to speak, put the exact words in quotation marks and say what the voice
  is like.
- You may begin with the style, as in "Style: cinematic, realistic." Without a wish for another one it
  is that.
- If the request is a full description already, correct it lightly and leave it.
- If the request is for something harmful, give it back word by word.

Answer with the description alone.
)";

constexpr const char * example = R"(
For example, to the request "a baker at work" this is a good answer:
Style: cinematic, realistic. In a small bakery at dawn a broad man in a flour-dusted apron is kneading
dough on a wooden table, his hands pressing and folding it with soft thuds. Warm lamplight is falling
on the shelves behind him, while grey morning light is coming through a window on the left. Then he is
shaping the dough into a round loaf, sliding it on a long wooden board into the oven, and closing the
iron door, which shuts with a clang as the fire is crackling inside.
)";

// The typographic characters that a model writes and a prompt does without.
constexpr std::pair<const char *, char> plain[] = {
    {"\u2018", '\''}, {"\u2019", '\''}, {"\u2032", '\''}, {"\u201C", '"'}, {"\u201D", '"'},
    {"\u2014", '-'},  {"\u2013", '-'},  {"\u2212", '-'},  {"\u00A0", ' '}};

// Blocks past ASCII that have no letters: punctuation, digits, symbols, marks, emoji.
constexpr uint32_t no_letters[][2] = {
    {0x80, 0xA9},     {0xAB, 0xB4},     {0xB6, 0xB9},     {0xBB, 0xBF},     {0xD7, 0xD7},
    {0xF7, 0xF7},     {0x300, 0x36F},   {0x2000, 0x2070}, {0x2072, 0x207E}, {0x2080, 0x208F},
    {0x20A0, 0x2101}, {0x2190, 0x2BFF}, {0x3000, 0x3004}, {0x3007, 0x3030}, {0xE000, 0xF8FF},
    {0xFE00, 0xFE6F}, {0xFF00, 0xFF20}, {0xFF3B, 0xFF40}, {0xFF5B, 0xFF65}, {0x1F000, 0x1FAFF}};

bool is_letter(uint32_t code) {
    if (code < 0x80)
        return (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z');
    for (const auto & [first, last] : no_letters)
        if (code >= first && code <= last)
            return false;
    return true;
}

std::string in_plain_characters(const std::string & text) {
    std::string out;
    for (size_t at = 0, length; at < text.size(); at += length) {
        length = utf8_length(std::string_view(text).substr(at));
        std::string character = text.substr(at, length);
        for (const auto & [from, to] : plain)
            if (character == from)
                character = to;
        out += character;
    }
    return out;
}

} // namespace

std::string enhancement_request(const std::string & prompt, const std::string & instructions,
                                bool of_image) {
    std::string own =
        of_image ? std::string(image_to_video) + both : std::string(text_to_video) + both + example;
    const std::string & asked = instructions.empty() ? own : instructions;
    return std::string(stripped(asked)) + "\n\nuser prompt: " + std::string(stripped(prompt));
}

std::string enhanced_prompt(const std::string & answer, const std::string & prompt) {
    std::string text(stripped(in_plain_characters(answer)));
    for (size_t at = 0, length; at < text.size(); at += length) {
        length = utf8_length(std::string_view(text).substr(at));
        if (is_letter(code_point(std::string_view(text).substr(at, length)))) {
            text.erase(0, at);
            break;
        }
    }
    return text.empty() ? prompt : text;
}

} // namespace ltx2
