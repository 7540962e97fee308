#include "runtime/exec/sequence_state.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "kernels/base/checked_math.h"
#include "lutra/kernels/attention.h"
#include "lutra/runtime/error.h"
#include "runtime/base/text_of.h"

namespace lutra {
namespace {

constexpr size_t kPageTokens = kernels::kCachePageTokens;

// Takes `bytes` of something; where they begin. Throws OutOfMemory.
size_t Take(size_t bytes, size_t& used) {
  const size_t begin = used;
  const auto padded = CheckedAdd(bytes, kMemoryAlignment - 1);
  const auto end =
      padded ? CheckedAdd(begin, *padded / kMemoryAlignment * kMemoryAlignment)
             : std::nullopt;
  if (!end) throw OutOfMemory("the state of the model overflows memory");
  used = *end;
  return begin;
}

std::shared_ptr<std::byte> NewPage(const StateLayout& layout) {
  return AllocateAligned(layout.page_bytes, "a page of keys and values");
}

}  // namespace

StateLayout::StateLayout(std::shared_ptr<const Model> shared_model,
                         const Execution& execution)
    : model(std::move(shared_model)), cache(execution.cache) {
  // Memory that several nodes share, by what it holds.
  std::map<std::tuple<OpType, std::string, size_t>, size_t> shared;
  for (const Node& node : model->graph().nodes) {
    const Operator& op = GetOperator(node.op);
    const RowContext row_context = op.schema().context;
    sequential |= row_context == RowContext::kPosition ||
                  row_context == RowContext::kState;
    const size_t bytes = op.PageBytes(*model, node, execution);
    const std::string content = bytes == 0 ? "" : op.PageContent(node);
    const auto found = shared.find({node.op, content, bytes});
    if (!content.empty() && found != shared.end()) {
      page_offsets.push_back(found->second);
    } else {
      page_offsets.push_back(Take(bytes, page_bytes));
      shared[{node.op, content, bytes}] = page_offsets.back();
    }
    state_offsets.push_back(Take(op.StateBytes(*model, node), state_bytes));
  }
  if (sequential) context = execution.context;
  if (!CheckedMultiply(PageCount(context), page_bytes)) {
    throw OutOfMemory(
        TextOf("the state of ", context, " tokens overflows memory"));
  }
}

bool StateLayout::Accepts(const StateLayout& other) const {
  return this == &other || (model == other.model && cache == other.cache);
}

size_t StateLayout::PageCount(size_t tokens) const {
  if (page_bytes == 0) return 0;
  return tokens / kPageTokens + (tokens % kPageTokens == 0 ? 0 : 1);
}

SequenceState::SequenceState(std::shared_ptr<const StateLayout> layout)
    : layout_(std::move(layout)) {
  // A state is not cleared: what it holds at position 0 means nothing.
  states_ = AllocateAligned(2 * layout_->state_bytes, "a state");
}

SequenceState::SequenceState(const SequenceState& other)
    : layout_(other.layout_),
      position_(other.position_),
      calls_(other.calls_),
      pages_(other.pages_.begin(),
             other.pages_.begin() +
                 static_cast<std::ptrdiff_t>(layout_->PageCount(position_))),
      addresses_(other.addresses_.begin(),
                 other.addresses_.begin() +
                     static_cast<std::ptrdiff_t>(pages_.size())),
      states_(AllocateAligned(2 * layout_->state_bytes, "a state")) {
  if (layout_->state_bytes == 0 || position_ == 0) return;
  std::memcpy(State(calls_), other.State(calls_), layout_->state_bytes);
}

size_t SequenceState::ByteCount() const {
  return pages_.size() * layout_->page_bytes + 2 * layout_->state_bytes;
}

void SequenceState::Truncate(size_t position) {
  const std::string& path = layout_->model->path();
  if (position > position_) {
    throw Error::InFile(path,
                        TextOf("cannot go back to position ", position,
                               " of a sequence of ", position_, " tokens"),
                        ErrorCode::kInvalidArgument);
  }
  if (position != 0 && position != position_ && layout_->state_bytes != 0) {
    throw Error::InFile(
        path,
        "the model has recurrent nodes, whose state can only go back to where "
        "a sequence was saved or forked",
        ErrorCode::kInvalidArgument);
  }
  position_ = position;
}

void SequenceState::Reserve(size_t tokens) {
  if (layout_->context != 0 && tokens > layout_->context) {
    throw Error::InFile(layout_->model->path(),
                        TextOf(tokens, " tokens are more than the context of ",
                               layout_->context),
                        ErrorCode::kContextFull);
  }
  const size_t count = layout_->PageCount(tokens);
  addresses_.reserve(count);
  pages_.reserve(count);
  while (pages_.size() < count) {
    std::shared_ptr<std::byte> page = NewPage(*layout_);
    // What is saved is defined, tokens that are not there included.
    std::memset(page.get(), 0, layout_->page_bytes);
    addresses_.push_back(page.get());
    pages_.push_back(std::move(page));
  }
}

void SequenceState::PrepareCall(size_t count) {
  const size_t end = layout_->PageCount(position_ + count);
  if (end > pages_.size()) Reserve(position_ + count);
  for (size_t i = position_ / kPageTokens; i < end; ++i) {
    if (pages_[i].use_count() == 1) {
      // What the other owners read was read before they let go of it.
      std::atomic_thread_fence(std::memory_order_acquire);
      continue;
    }
    std::shared_ptr<std::byte> copy = NewPage(*layout_);
    std::memcpy(copy.get(), pages_[i].get(), layout_->page_bytes);
    addresses_[i] = copy.get();
    pages_[i] = std::move(copy);
  }
}

SequenceRows SequenceState::Rows(size_t first, size_t count) const {
  return {.first = first,
          .count = count,
          .position = position_,
          .pages = addresses_.data(),
          .old_state = State(calls_),
          .new_state = State(calls_ + 1)};
}

void SequenceState::Advance(size_t count) {
  position_ += count;
  calls_ += 1;
}

}  // namespace lutra
