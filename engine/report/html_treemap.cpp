#include "report/html_treemap.h"

#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "base/text.h"
#include "report/html_page.h"

namespace remap::report {
namespace {

struct Node {
  std::string name;  // the last part of its key, and those of its only children
  std::string path;
  uint64_t bytes = 0, count = 0;
  std::map<std::string, std::unique_ptr<Node>> below;
};

struct Box {
  double x, y, width, height;
};
constexpr Box kCanvas = {0, 0, 1200, 560};
constexpr double kLeast = 10, kHead = 17, kLetter = 7;  // pixels: a side; a headline's height; a letter's width
constexpr size_t kColors = 8;

Node tree_of(const std::vector<Weighted>& tensors) {
  Node top;
  for (const auto& tensor : tensors) {
    Node* node = &top;
    top.bytes += tensor.bytes, ++top.count;
    for (auto& part : key_parts(tensor.key)) {
      auto& below = node->below[part];
      if (!below) {
        below = std::make_unique<Node>();
        below->name = part;
        below->path = node->path + part;
      }
      node = below.get();
      node->bytes += tensor.bytes, ++node->count;
    }
  }
  return top;
}

// Squarified (Bruls, Huizing, van Wijk): rows along the shorter side, as long as that makes their boxes less long.
std::vector<Box> squarified(const std::vector<const Node*>& nodes, Box room, uint64_t total) {
  std::vector<Box> boxes;
  double left = static_cast<double>(total);
  for (size_t begin = 0; begin < nodes.size();) {
    const bool tall = room.width < room.height;
    const double side = tall ? room.width : room.height, other = tall ? room.height : room.width;
    const auto worst = [&](size_t end) {
      double sum = 0, most = 0, least = 1e300;
      for (size_t i = begin; i < end; ++i) {
        const auto bytes = static_cast<double>(nodes[i]->bytes);
        sum += bytes, most = std::max(most, bytes), least = std::min(least, bytes);
      }
      const double depth = other * sum / left;
      return std::max(depth / (side * least / sum), side * most / sum / depth);
    };
    size_t end = begin + 1;
    while (end < nodes.size() && worst(end + 1) <= worst(end)) ++end;
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += static_cast<double>(nodes[i]->bytes);
    const double depth = other * sum / left;
    double at = 0;
    for (size_t i = begin; i < end; ++i) {
      const double length = side * static_cast<double>(nodes[i]->bytes) / sum;
      boxes.push_back(tall ? Box{room.x + at, room.y, length, depth} : Box{room.x, room.y + at, depth, length});
      at += length;
    }
    (tall ? room.y : room.x) += depth;
    (tall ? room.height : room.width) -= depth;
    left -= sum;
    begin = end;
  }
  return boxes;
}

void draw(const Node& node, const Box& box, size_t depth, size_t color, uint64_t total, std::string& svg) {
  const Node* shown = &node;
  std::string name = node.name;
  while (shown->below.size() == 1) shown = shown->below.begin()->second.get(), name += shown->name;
  std::vector<const Node*> below;
  for (const auto& [part, one] : shown->below)
    if (one->bytes > 0) below.push_back(one.get());
  std::stable_sort(below.begin(), below.end(), [](const Node* a, const Node* b) { return a->bytes > b->bytes; });
  if (depth > 0) {
    const bool fits = box.height > kHead && box.width > 4 * kLetter;
    svg += fmt::format(
        "<g><title>{}: {}, {:.1f} %</title><rect class=\"c{} d{}\" x=\"{:.1f}\" y=\"{:.1f}\" "
        "width=\"{:.1f}\" height=\"{:.1f}\"/>",
        html_text(shown->path), counted_tensors(node.count, node.bytes),
        100 * static_cast<double>(node.bytes) / static_cast<double>(total), color, std::min<size_t>(depth, 4), box.x,
        box.y, box.width, box.height);
    if (fits) {
      const auto letters = static_cast<size_t>((box.width - 6) / kLetter);
      std::string text = name;
      if (text.size() > letters && is_utf8(text))
        text = fmt::format("{}…", utf8_prefix(text, letters > 0 ? letters - 1 : 0));
      svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", box.x + 3, box.y + 13, html_text(text));
    }
    svg += "</g>\n";
  }
  const double head = depth > 0 && !below.empty() ? kHead : 0, edge = depth > 0 ? 2 : 0;
  const Box inside = {box.x + edge, box.y + std::max(head, edge), box.width - 2 * edge,
                      box.height - std::max(head, edge) - edge};
  if (below.empty() || inside.width < 2 * kLeast || inside.height < 2 * kLeast) return;
  const auto boxes = squarified(below, inside, shown->bytes);
  for (size_t i = 0; i < below.size(); ++i)
    if (boxes[i].width >= kLeast && boxes[i].height >= kLeast)
      draw(*below[i], boxes[i], depth + 1, depth == 0 ? i % kColors : color, total, svg);
}

}  // namespace

std::string html_treemap(const std::vector<Weighted>& tensors, const std::string& label) {
  const Node top = tree_of(tensors);
  if (top.bytes == 0) return "";
  std::string svg = fmt::format("<svg class=\"treemap\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
                                kCanvas.width, kCanvas.height, html_text(label));
  // With a single branch at the top there is nothing to tell apart yet.
  draw(top, kCanvas, 0, 0, top.bytes, svg);
  return svg + "</svg>\n";
}

}  // namespace remap::report
