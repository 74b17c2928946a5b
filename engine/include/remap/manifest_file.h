// A manifest as a file, which open_source() takes in place of the checkpoint it lists.
//
// Text: a line a tensor, "key dtype [shape]", separated by tabs or spaces; '#' starts a comment line. A key with
// blanks, or one that starts with '#' or '"', is written as a JSON string.
//   encoder.layers.0.fc1.weight	F32	[64,32]
// A tensor whose bytes are not read says why at the end of its line; '?' stands for a dtype or a shape that is not
// known.
//   encoder.layers.0.fc2.weight	qint8	[32,64]	not read: a quantized tensor
// JSON: also keeps the format, the metadata and which tensors are tied.
//   {"remap_manifest": 1, "format": "torch", "metadata": {…},
//    "tensors": [{"key": …, "dtype": "F32", "shape": [64,32], "alias": …}]}
// A tensor that is not read has "unread": the reason; its "dtype" is what the file names it ("qint8"), and null, as
// "shape", if unknown. "tensors" may also be an object, key -> {"dtype", "shape"}. With "folded": true a key may stand
// for several: "layers.{0..11}.w", "{1,3}", "{1,3..11}"; so a checkpoint of a hundred thousand tensors is a page that a
// person reads.
#pragma once

#include <string>

#include "remap/manifest.h"
#include "remap/source.h"

namespace remap {

// JSON, one tensor a line, sorted by key: the same source gives the same text. Texts that are not UTF-8 are made so.
std::string manifest_to_json(const Source& source);
// The same for tensors listed otherwise: in another order, or folded; `more`: fields beside them, which readers skip.
std::string manifest_to_json(const std::vector<TensorInfo>& tensors, const Source& source, bool folded,
                             const Json& more = Json::object());

// Text; leaves out metadata and aliases.
std::string manifest_to_text(const Manifest& manifest);

}  // namespace remap
