// Strided views beside the definition of each operation, element by element; and what cannot be one.
#include "plan/strided_view.h"

#include <functional>
#include <numeric>

#include "support/catch.h"

using namespace remap;
using namespace remap::plan;

namespace {

// Where in the source (row-major) each element of the view is, in the view's order.
std::vector<int64_t> elements(const StridedView& view, const Shape& source) {
  Shape strides(source.size(), 1);
  for (size_t d = source.size(); d-- > 1;) strides[d - 1] = strides[d] * source[d];
  int64_t begin = 0;
  for (size_t d = 0; d < source.size(); ++d) begin += view.origin[d] * strides[d];
  std::vector<int64_t> found = {begin};
  for (const auto& factors : view.dims)
    for (const Factor& factor : factors) {
      std::vector<int64_t> next;
      for (const int64_t at : found)
        for (int64_t i = 0; i < factor.extent; ++i)
          next.push_back(at + (source.empty() ? 0 : i * factor.source_step * strides[factor.source_dim]));
      found = std::move(next);
    }
  return found;
}

using Step = std::function<std::string(StridedView&)>;
Step permute(std::vector<int> order) {
  return [order](StridedView& view) { return view.permute(order); };
}
Step reshape(Shape shape) {
  return [shape](StridedView& view) { return view.reshape(shape); };
}
Step slice(size_t axis, int64_t begin, int64_t length) {
  return [=](StridedView& view) { return view.slice(axis, begin, length); };
}
Step select(size_t axis, int64_t index) {
  return [=](StridedView& view) { return view.select(axis, index); };
}

// What the steps make of it, or what is wrong with one of them.
std::string apply(StridedView& view, const std::vector<Step>& steps) {
  for (const Step& step : steps)
    if (std::string wrong = step(view); !wrong.empty()) return wrong;
  return "";
}

}  // namespace

TEST_CASE("steps on a view show the elements that they are defined to show") {
  struct Row {
    const char* name;
    Shape source;
    std::vector<Step> steps;
    Shape shape;
    std::vector<int64_t> elements;
  };
  const Row rows[] = {
      {"nothing is done", {2, 2}, {}, {2, 2}, {0, 1, 2, 3}},
      {"a transpose", {2, 3}, {permute({1, 0})}, {3, 2}, {0, 3, 1, 4, 2, 5}},
      {"three axes turned", {2, 1, 3}, {permute({2, 0, 1})}, {3, 2, 1}, {0, 3, 1, 4, 2, 5}},
      {"axes merged", {2, 3}, {reshape({6})}, {6}, {0, 1, 2, 3, 4, 5}},
      {"an axis cut in two", {6}, {reshape({2, 3})}, {2, 3}, {0, 1, 2, 3, 4, 5}},
      {"interleaved: cut, turned, merged",
       {6},
       {reshape({2, 3}), permute({1, 0}), reshape({6})},
       {6},
       {0, 3, 1, 4, 2, 5}},
      {"other cuts of merged axes", {2, 6}, {reshape({4, 3})}, {4, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
      {"axes of one", {1, 2, 1}, {reshape({2})}, {2}, {0, 1}},
      {"axes of one, made", {2}, {reshape({1, 2, 1})}, {1, 2, 1}, {0, 1}},
      {"a part", {2, 3}, {slice(1, 1, 2)}, {2, 2}, {1, 2, 4, 5}},
      {"a part of a part", {5}, {slice(0, 1, 4), slice(0, 1, 2)}, {2}, {2, 3}},
      {"one entry", {2, 3}, {select(0, 1)}, {3}, {3, 4, 5}},
      {"one entry of the inner axis", {2, 3}, {select(1, 2)}, {2}, {2, 5}},
      {"a part of merged axes, in whole rows", {3, 2}, {reshape({6}), slice(0, 2, 4)}, {4}, {2, 3, 4, 5}},
      {"a part of merged axes, in one row", {3, 4}, {reshape({12}), slice(0, 5, 2)}, {2}, {5, 6}},
      {"a part of a transpose", {2, 3}, {permute({1, 0}), slice(0, 1, 1)}, {1, 2}, {1, 4}},
      {"no element", {2, 0}, {reshape({0, 7})}, {0, 7}, {}},
      {"none of none", {0}, {slice(0, 0, 0)}, {0}, {}},
      {"a scalar", {}, {reshape({1, 1})}, {1, 1}, {0}},
      {"a scalar made", {1}, {reshape({})}, {}, {0}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    StridedView view = StridedView::of(row.source);
    CHECK(apply(view, row.steps) == "");
    CHECK(view.shape() == row.shape);
    CHECK(elements(view, row.source) == row.elements);
  }
}

TEST_CASE("what is not a strided view is refused, and says why") {
  struct Row {
    Shape source;
    std::vector<Step> steps;
    const char* wrong;
  };
  const Row rows[] = {
      {{2, 3}, {slice(2, 0, 1)}, "there is no axis 2 in [2,3]"},
      {{2, 3}, {slice(1, 2, 2)}, "[2, 4) is not inside axis 1 of [2,3]"},
      {{2, 3}, {slice(1, -1, 2)}, "[-1, 1) is not inside axis 1 of [2,3]"},
      {{2, 3}, {select(0, 2)}, "[2, 3) is not inside axis 0 of [2,3]"},
      {{2, 3}, {permute({0})}, "1 axes are ordered, the tensor has 2: [2,3]"},
      {{2, 3}, {reshape({5})}, "[2,3] has 6 elements, [5] has 5"},
      {{2, 3}, {permute({1, 0}), reshape({2, 3})}, "[3,2] cannot be regrouped as [2,3] without copying"},
      {{3, 4}, {permute({1, 0}), reshape({12}), slice(0, 1, 3)}, "[1, 4) cuts across a reshaped axis of [12]"},
  };
  for (const Row& row : rows) {
    StridedView view = StridedView::of(row.source);
    CHECK(apply(view, row.steps) == row.wrong);
  }
}

TEST_CASE("the inverse of a view shows the tensor as it was") {
  const struct {
    Shape source;
    std::vector<Step> steps;
  } rows[] = {
      {{2, 3}, {}},
      {{2, 3}, {permute({1, 0})}},
      {{4, 6}, {reshape({2, 2, 6}), permute({1, 0, 2}), reshape({4, 6})}},
      {{2, 3, 4}, {permute({2, 0, 1}), reshape({4, 6})}},
      {{12}, {reshape({2, 3, 2}), permute({2, 1, 0})}},
  };
  for (const auto& row : rows) {
    StridedView view = StridedView::of(row.source);
    REQUIRE(apply(view, row.steps) == "");
    const auto shown = elements(view, row.source), back = elements(view.inverse(row.source), view.shape());
    REQUIRE(back.size() == shown.size());
    for (size_t i = 0; i < back.size(); ++i) CHECK(shown[static_cast<size_t>(back[i])] == static_cast<int64_t>(i));
  }
}

TEST_CASE("a piece of a regrouped target: what lies across the regrouping is refused") {
  StridedView target = StridedView::of({6});
  std::string wrong;
  CHECK(target.reshape({2, 3}) == "");
  // The target is [6]; what fills it is [2,3], as two rows of three.
  const StridedView joined = target.inverse({6});
  const Piece whole = StridedView::of({6}).piece(0, 0, joined, wrong);
  CHECK(wrong == "");
  CHECK(whole.axes == std::vector<Axis>{{2, 1, 3, 0, 0}, {3, 1, 1, 1, 0}});

  StridedView part = joined;
  CHECK(part.slice(0, 0, 4) != "");  // a row and a third
  CHECK(part.slice(0, 3, 3) == "");
  const Piece row = StridedView::of({3}).piece(0, 1, part, wrong);
  CHECK(row.target_origin == std::vector<int64_t>{1, 0});
  CHECK(row.axes == std::vector<Axis>{{3, 1, 1, 1, 0}});

  StridedView other = StridedView::of({6});
  CHECK(other.reshape({2, 3}) == "");
  CHECK(other.permute({1, 0}) == "");
  CHECK(other.reshape({6}) == "");
  static_cast<void>(other.piece(0, 0, joined, wrong));
  CHECK(wrong == "axis 0 of [6] lies across what the target's regrouping makes of it");
}
