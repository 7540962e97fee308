#include "tools/cli/graph_picture.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "tools/cli/svg.h"

// Layers of boxes (Sugiyama, Tagawa and Toda, "Methods for visual understanding
// of hierarchical system structures", 1981): a box is a layer below the lowest
// one that it follows. A line that passes layers has a narrow place in each of
// them. Within layers places are ordered by the means of their neighbours, then
// moved towards these as far as their widths allow.

namespace lutra::tools {
namespace {

constexpr double kMargin = 30;
constexpr double kTitleHeight = 30;
constexpr double kLetter = 6.7;  // widths, at 12 pixels
constexpr double kBoldLetter = 7.8;
constexpr double kLineHeight = 15;
constexpr double kPadding = 8;
constexpr double kBetweenLayers = 28;
constexpr double kBetweenPlaces = 18;
constexpr double kLineWidth = 6;  // of the place of a passing line
constexpr size_t kMostLetters = 36;
constexpr int kTurns = 12;

std::string Cut(const std::string& text) {
  if (text.size() <= kMostLetters) return text;
  constexpr size_t kHead = kMostLetters / 2 - 2;
  // At the starts of letters, which may have several bytes.
  const auto is_inside = [&](size_t at) { return (text[at] & 0xC0) == 0x80; };
  size_t head = kHead;
  while (head > 0 && is_inside(head)) --head;
  size_t tail = text.size() - kHead;
  while (tail < text.size() && is_inside(tail)) ++tail;
  return text.substr(0, head) + "..." + text.substr(tail);
}

constexpr size_t kNone = static_cast<size_t>(-1);

// A box, or a line on its way past a layer.
struct Place {
  size_t box = kNone;
  size_t layer = 0;
  double width = kLineWidth;
  double x = 0;  // of its middle
  std::vector<size_t> above;
  std::vector<size_t> below;
};

class Picture {
 public:
  Picture(const std::vector<PictureBox>& boxes,
          const std::vector<PictureFrame>& frames)
      : boxes_(boxes), frames_(frames) {
    MakePlaces();
    for (int turn = 0; turn < kTurns; ++turn) Order(turn % 2 == 0);
    for (std::vector<size_t>& layer : layers_) Spread(layer);
    for (int turn = 0; turn < kTurns; ++turn) Move(turn % 2 == 0);
    MoveIntoSight();
    PlaceLayers();
  }

  double width() const { return width_; }
  double height() const { return height_; }

  std::string Svg() const {
    std::string svg;
    for (const PictureFrame& frame : frames_) svg += Frame(frame);
    for (const Place& place : places_) svg += Lines(place);
    for (const Place& place : places_) svg += Box(place);
    return svg;
  }

 private:
  void MakePlaces() {
    for (size_t i = 0; i < boxes_.size(); ++i) {
      Place place;
      place.box = i;
      place.width = BoxWidth(boxes_[i]);
      for (const size_t other : boxes_[i].before) {
        place.layer = std::max(place.layer, places_[other].layer + 1);
      }
      places_.push_back(std::move(place));
    }
    // One line to all that follow a box, which leaves it where it must.
    std::map<std::pair<size_t, size_t>, size_t> passing;  // box, layer
    for (size_t i = 0; i < boxes_.size(); ++i) {
      for (const size_t other : boxes_[i].before) {
        size_t from = other;
        for (size_t layer = places_[other].layer + 1; layer < places_[i].layer;
             ++layer) {
          const auto [at, is_new] =
              passing.try_emplace({other, layer}, places_.size());
          if (is_new) {
            Place place;
            place.layer = layer;
            places_.push_back(place);
            Join(from, at->second);
          }
          from = at->second;
        }
        Join(from, i);
      }
    }
    for (size_t i = 0; i < places_.size(); ++i) {
      layers_.resize(std::max(layers_.size(), places_[i].layer + 1));
      layers_[places_[i].layer].push_back(i);
    }
  }

  void Join(size_t above, size_t below) {
    places_[above].below.push_back(below);
    places_[below].above.push_back(above);
  }

  static double BoxWidth(const PictureBox& box) {
    double width = 60;
    const auto widen = [&](const std::string& text, double letter) {
      width = std::max(width, letter * static_cast<double>(Cut(text).size()));
    };
    widen(box.title, kBoldLetter);
    for (const std::string& line : box.lines) widen(line, kLetter);
    return width + 2 * kPadding;
  }

  double BoxHeight(size_t box) const {
    return kLineHeight * static_cast<double>(1 + boxes_[box].lines.size()) +
           kPadding;
  }

  // By the means of the ranks of neighbours above, or below.
  void Order(bool downwards) {
    std::vector<double> rank(places_.size());
    const auto note = [&](const std::vector<size_t>& layer) {
      for (size_t i = 0; i < layer.size(); ++i) {
        rank[layer[i]] =
            static_cast<double>(i) - static_cast<double>(layer.size() - 1) / 2;
      }
    };
    for (const std::vector<size_t>& layer : layers_) note(layer);
    for (size_t i = 0; i < layers_.size(); ++i) {
      std::vector<size_t>& layer =
          layers_[downwards ? i : layers_.size() - 1 - i];
      std::vector<std::pair<double, size_t>> wanted;
      for (const size_t place : layer) {
        const std::vector<size_t>& others =
            downwards ? places_[place].above : places_[place].below;
        wanted.emplace_back(Mean(others, rank, rank[place]), place);
      }
      std::stable_sort(
          wanted.begin(), wanted.end(),
          [](const auto& a, const auto& b) { return a.first < b.first; });
      for (size_t j = 0; j < layer.size(); ++j) layer[j] = wanted[j].second;
      note(layer);
    }
  }

  static double Mean(const std::vector<size_t>& places,
                     const std::vector<double>& values, double otherwise) {
    if (places.empty()) return otherwise;
    double sum = 0;
    for (const size_t place : places) sum += values[place];
    return sum / static_cast<double>(places.size());
  }

  // Side by side, around 0.
  void Spread(const std::vector<size_t>& layer) {
    double total = -kBetweenPlaces;
    for (const size_t place : layer) {
      total += places_[place].width + kBetweenPlaces;
    }
    double left = -total / 2;
    for (const size_t place : layer) {
      places_[place].x = left + places_[place].width / 2;
      left += places_[place].width + kBetweenPlaces;
    }
  }

  // Towards the neighbours: the least squares of distances from where places
  // want to be, in this order and without overlaps (pool adjacent violators).
  void Move(bool downwards) {
    std::vector<double> x(places_.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = places_[i].x;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const std::vector<size_t>& layer =
          layers_[downwards ? i : layers_.size() - 1 - i];
      struct Block {
        double sum = 0;  // of what its places want, less their offsets
        double count = 0;
        size_t places = 0;
      };
      std::vector<Block> blocks;
      std::vector<double> offsets;
      double offset = 0;
      for (size_t j = 0; j < layer.size(); ++j) {
        const Place& place = places_[layer[j]];
        if (j > 0) {
          offset +=
              (places_[layer[j - 1]].width + place.width) / 2 + kBetweenPlaces;
        }
        offsets.push_back(offset);
        const double wanted =
            Mean(downwards ? place.above : place.below, x, place.x);
        blocks.push_back({wanted - offset, 1, 1});
        while (blocks.size() > 1) {
          const Block last = blocks.back();
          Block& before = blocks[blocks.size() - 2];
          if (before.sum / before.count <= last.sum / last.count) break;
          before.sum += last.sum;
          before.count += last.count;
          before.places += last.places;
          blocks.pop_back();
        }
      }
      size_t j = 0;
      for (const Block& block : blocks) {
        for (size_t end = j + block.places; j < end; ++j) {
          x[layer[j]] = places_[layer[j]].x =
              block.sum / block.count + offsets[j];
        }
      }
    }
  }

  void MoveIntoSight() {
    double left = 1e30;
    double right = -1e30;
    for (const Place& place : places_) {
      left = std::min(left, place.x - place.width / 2);
      right = std::max(right, place.x + place.width / 2);
    }
    for (Place& place : places_) place.x += kMargin - left;
    width_ = right - left + 2 * kMargin;
  }

  void PlaceLayers() {
    double y = kTitleHeight + kMargin;
    for (const std::vector<size_t>& layer : layers_) {
      double height = 0;
      for (const size_t place : layer) {
        if (places_[place].box == kNone) continue;
        height = std::max(height, BoxHeight(places_[place].box));
      }
      tops_.push_back(y);
      heights_.push_back(height);
      y += height + kBetweenLayers;
    }
    height_ = y;
  }

  double Bottom(const Place& place) const {
    const double top = tops_[place.layer];
    return place.box == kNone ? top + heights_[place.layer]
                              : top + BoxHeight(place.box);
  }

  std::string Lines(const Place& place) const {
    std::string svg;
    const double top = tops_[place.layer];
    if (place.box == kNone) {
      svg += SvgLine(place.x, top, place.x, Bottom(place), kFaint);
    }
    for (const size_t other : place.above) {
      const Place& from = places_[other];
      const double start = Bottom(from);
      const std::string middle = SvgNumber((start + top) / 2);
      svg += "<path fill=\"none\" stroke=\"" + std::string(kFaint) +
             "\" d=\"M" + SvgNumber(from.x) + " " + SvgNumber(start) + " C" +
             SvgNumber(from.x) + " " + middle + " " + SvgNumber(place.x) + " " +
             middle + " " + SvgNumber(place.x) + " " + SvgNumber(top) +
             "\"/>\n";
    }
    if (place.box != kNone && !place.above.empty()) {
      svg += "<path fill=\"" + std::string(kFaint) + "\" d=\"M" +
             SvgNumber(place.x) + " " + SvgNumber(top) + " l-4 -7 h8 z\"/>\n";
    }
    return svg;
  }

  std::string Box(const Place& place) const {
    if (place.box == kNone) return "";
    const PictureBox& box = boxes_[place.box];
    const double top = tops_[place.layer];
    std::string svg = SvgRectangle(
        place.x - place.width / 2, top, place.width, BoxHeight(place.box),
        "rx=\"5\" stroke=\"#888888\" fill=\"" + SvgEscaped(box.color) + "\"");
    double y = top + kLineHeight;
    svg += SvgText(place.x, y, Cut(box.title),
                   "text-anchor=\"middle\" font-weight=\"bold\"");
    for (const std::string& line : box.lines) {
      y += kLineHeight;
      svg += SvgText(place.x, y, Cut(line),
                     "text-anchor=\"middle\" font-size=\"11\"");
    }
    return svg;
  }

  std::string Frame(const PictureFrame& frame) const {
    double left = width_;
    double right = 0;
    double top = height_;
    double bottom = 0;
    for (size_t i = frame.first; i < frame.first + frame.count; ++i) {
      const Place& place = places_[i];
      left = std::min(left, place.x - place.width / 2);
      right = std::max(right, place.x + place.width / 2);
      top = std::min(top, tops_[place.layer]);
      bottom = std::max(bottom, Bottom(place));
    }
    constexpr double kRoom = 10;
    return SvgRectangle(left - kRoom, top - kRoom, right - left + 2 * kRoom,
                        bottom - top + 2 * kRoom,
                        "rx=\"9\" fill=\"#f4f4f4\" stroke=\"#999999\" "
                        "stroke-dasharray=\"5 3\"") +
           SvgText(right + kRoom, top - kRoom - 3, frame.label,
                   "text-anchor=\"end\" font-weight=\"bold\"");
  }

  static constexpr const char* kFaint = "#777777";

  const std::vector<PictureBox>& boxes_;
  const std::vector<PictureFrame>& frames_;
  std::vector<Place> places_;  // those of boxes first, in their order
  std::vector<std::vector<size_t>> layers_;
  std::vector<double> tops_;  // of layers
  std::vector<double> heights_;
  double width_ = 0;
  double height_ = 0;
};

}  // namespace

std::string GraphPictureSvg(const std::string& title,
                            const std::vector<PictureBox>& boxes,
                            const std::vector<PictureFrame>& frames,
                            const std::vector<PictureKey>& keys) {
  const Picture picture(boxes, frames);
  std::string svg = SvgText(kMargin, kTitleHeight, title, "font-size=\"15\"");
  svg += picture.Svg();
  double y = picture.height() + kLineHeight;
  double widest = kLetter * static_cast<double>(title.size()) * 1.25;
  for (const PictureKey& key : keys) {
    svg +=
        SvgRectangle(kMargin, y - 10, 22, 12,
                     "rx=\"3\" stroke=\"#888888\" fill=\"" + key.color + "\"");
    svg += SvgText(kMargin + 30, y, key.meaning, "");
    widest =
        std::max(widest, kLetter * static_cast<double>(key.meaning.size()));
    y += kLineHeight + 3;
  }
  return SvgPicture(std::max(picture.width(), widest + 2 * kMargin + 30),
                    y + kMargin, svg);
}

}  // namespace lutra::tools
