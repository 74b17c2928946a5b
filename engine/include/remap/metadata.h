// What a checkpoint says beside its tensors (args, cfg, gin, JSON), as one tree of plain values.
#pragma once

#include <nlohmann/json.hpp>

namespace remap {

// Objects keep the order of the source. Values a tree of plain data cannot hold are written as objects with one
// key that starts with '$':
//   {"$tensor": "model.a.b"}                      a tensor, listed in the manifest under this key
//   {"$object": "fairseq.meters.AverageMeter", "args": […], "state": …}   an inert record of a class that is not known
//   {"$cycle": true}, {"$deep": true}             where a cyclic or too deep structure was cut
// Known plain classes (argparse.Namespace, omegaconf containers, enums, numpy scalars …) are written as the values they hold.
using Json = nlohmann::ordered_json;

}  // namespace remap
