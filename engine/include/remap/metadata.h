// What a checkpoint says beside its tensors (args, cfg, gin, JSON), as one tree of plain values.
#pragma once

#include <nlohmann/json.hpp>

namespace remap {

// Objects keep the order of the source. Values a tree of plain data cannot hold are written as objects with one
// key that starts with '$':
//   {"$tensor": "model.a.b"}                      a tensor, listed in the manifest under this key
//   {"$object": "fairseq.meters.AverageMeter", "args": […], "state": …}   an inert record of a class that is not known
//   {"$tensors": 24}                              an object or list that holds nothing but tensors: how many
//   {"$module": "dall_e.encoder.Encoder", …}      a pickled nn.Module: its plain attributes and submodules
//   {"$global": "torch.float32"}                  a class or function that is named and not called
//   {"$bytes": 12, "hex": "00ff…"}                bytes, cut short
//   {"$root": …}                                  the whole, where it is not an object
//   {"$cycle": true}, {"$deep": true}             where a cyclic or too deep structure was cut
// Known plain classes (argparse.Namespace, omegaconf containers, enums, numpy scalars …) are written as the values they
// hold.
using Json = nlohmann::ordered_json;

}  // namespace remap
