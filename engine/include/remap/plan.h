// A Plan says, for every target tensor, its dtype, its shape and the pieces of source tensors it is made of.
// Plain value, made from rules and manifests alone (no tensor data): deterministic, sorted by target key.
// The executor knows nothing else: every operation of the rule language reduces to pieces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "remap/manifest.h"
#include "remap/metadata.h"

namespace remap {

// One axis of a piece's iteration space. Advancing it by 1 moves `target_step` along dimension `target_dim` of the target
// tensor and `source_step` along `source_dim` of the source tensor. Several axes may share a dimension (reshape).
struct Axis {
  int64_t extent = 1;
  int64_t target_step = 1;
  int64_t source_step = 1;
  uint8_t target_dim = 0;
  uint8_t source_dim = 0;
  bool operator==(const Axis&) const = default;
};

// (strided region of a target tensor) <- (strided region of a source tensor). Symmetric in source and target, so the inverse
// of a piece is the piece with both sides exchanged. Every element of the region is written once.
// A piece of rank-0 tensors has no axes and covers one element.
struct Piece {
  uint32_t source = 0;                 // index into Plan::sources
  uint32_t tensor = 0;                 // index into that source's manifest
  std::vector<Axis> axes;
  std::vector<int64_t> target_origin;  // empty: all zero; else one entry a dimension of the target
  std::vector<int64_t> source_origin;  // empty: all zero; else one entry a dimension of the source
  bool operator==(const Piece&) const = default;
};

struct PlannedTensor {
  std::string key;
  DType dtype = DType::f32;
  Shape shape;
  std::vector<Piece> pieces;           // disjoint; together they cover the tensor, unless `fill` is set
  std::optional<double> fill;          // constant value; then there are no pieces
  uint32_t rule = 0;                   // index into Plan::rules
  bool operator==(const PlannedTensor&) const = default;
};

}  // namespace remap
