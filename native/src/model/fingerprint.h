// Which weights a part has, told without reading them all.
#pragma once

#include "model/model.h"

namespace ltx2 {

// 16 hexadecimal digits of every tensor's name, type and shape, of the config, and of 64 places in
// the weights: other training, another type or another size gives others. No proof against intent.
std::string fingerprint(const Part & part);

} // namespace ltx2
