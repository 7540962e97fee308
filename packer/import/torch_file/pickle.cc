#include "packer/import/torch_file/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "lutra/runtime/error.h"

namespace lutra::packer {
namespace {

using Kind = PickleNode::Kind;

// More than any checkpoint has. What a pickle makes is larger than it by a
// bounded factor, so these bound memory, too.
constexpr size_t kMostBytes = size_t{4} << 20;
constexpr size_t kMostArguments = 64;
constexpr size_t kLongestGlobal = 256;

// Functions of torch's pickles, which are recorded when they are called.
constexpr std::string_view kCalls[] = {
    "collections OrderedDict",
    "torch Size",
    "torch device",
    "torch.serialization _get_layout",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
    "torch._tensor _rebuild_from_type_v2",
};
// Those that are only named.
constexpr std::string_view kNames[] = {
    "torch._utils _rebuild_wrapper_subclass",
};

// Types of torch and classes of torchao are names, too.
bool IsName(std::string_view global) {
  if (std::find(std::begin(kNames), std::end(kNames), global) !=
      std::end(kNames)) {
    return true;
  }
  return global.starts_with("torch ") || global.starts_with("torchao.");
}

bool IsCall(std::string_view global) {
  // An enum of torchao is made of its value.
  const bool is_enum = global.starts_with("torchao.") &&
                       global.ends_with("ActivationQuantization");
  return is_enum || std::find(std::begin(kCalls), std::end(kCalls), global) !=
                        std::end(kCalls);
}

}  // namespace

// Runs the opcodes (Lib/pickletools.py of Python describes them).
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const std::string& file,
                Pickle& pickle)
      : bytes_(bytes), file_(file), pickle_(pickle) {}

  void Run() {
    if (bytes_.size() > kMostBytes) Fail("is too large");
    while (Step(Number<uint8_t>())) {
    }
    pickle_.root_ = Pop();
  }

 private:
  using Node = PickleNode;

  [[noreturn]] void Fail(const std::string& cause) const {
    throw Error::InFile(file_, "pickle " + cause);
  }

  std::string_view Take(size_t size) {
    if (size > bytes_.size() - at_) Fail("ends within an opcode");
    const auto part = bytes_.subspan(at_, size);
    at_ += size;
    return {reinterpret_cast<const char*>(part.data()), size};
  }
  template <typename T>
  T Number() {
    T value;
    std::memcpy(&value, Take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string Line() {
    std::string line;
    for (char c = Number<char>(); c != '\n'; c = Number<char>()) line += c;
    return line;
  }

  Node& Push(Kind kind) {
    Node& node = pickle_.nodes_.emplace_back();
    node.kind = kind;
    stack_.push_back(&node);
    return node;
  }
  void PushInteger(int64_t value) { Push(Kind::kInteger).integer = value; }
  void PushText(std::string_view text) { Push(Kind::kText).text = text; }

  Node* Pop() {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) Fail("takes from an empty stack");
    Node* node = stack_.back();
    stack_.pop_back();
    return node;
  }
  Node& Top() {
    Node* node = Pop();
    stack_.push_back(node);
    return *node;
  }
  std::vector<Node*> PopMark() {
    if (marks_.empty()) Fail("has no mark");
    const auto begin =
        stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Node*> nodes(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return nodes;
  }
  void PushTuple(size_t count) {
    std::vector<const Node*> items(count);
    for (size_t i = count; i-- > 0;) items[i] = Pop();
    Push(Kind::kList).items = std::move(items);
  }

  void SetItems(const std::vector<Node*>& nodes) {
    Node& dict = Top();
    if (dict.kind != Kind::kDict || nodes.size() % 2 != 0) {
      Fail("sets items of what is no dict");
    }
    for (size_t i = 0; i < nodes.size(); i += 2) {
      dict.members.emplace_back(nodes[i], nodes[i + 1]);
    }
  }
  void Append(const std::vector<Node*>& nodes) {
    Node& list = Top();
    if (list.kind != Kind::kList) Fail("appends to what is no list");
    list.items.insert(list.items.end(), nodes.begin(), nodes.end());
  }

  void Global(const std::string& module, const std::string& name) {
    if (module.size() + name.size() > kLongestGlobal) {
      Fail("has too long a name");
    }
    const std::string global = module + " " + name;
    if (!IsName(global) && !IsCall(global)) {
      Fail("names '" + module + "." + name +
           "', which is not on the list of what a checkpoint may name");
    }
    Push(Kind::kGlobal).text = global;
  }

  void Reduce() {
    const Node* arguments = Pop();
    const Node* function = Pop();
    if (function->kind != Kind::kGlobal || !IsCall(function->text) ||
        arguments->kind != Kind::kList ||
        arguments->items.size() > kMostArguments) {
      Fail("calls '" + function->text +
           "', which is not on the list of what a checkpoint may call");
    }
    if (function->text == "collections OrderedDict") {
      Push(Kind::kDict);
      return;
    }
    Node& call = Push(Kind::kCall);
    call.text = function->text;
    call.items = arguments->items;
  }

  void Memoize(uint32_t id) { memo_[id] = &Top(); }
  void Recall(uint32_t id) {
    const auto found = memo_.find(id);
    if (found == memo_.end()) Fail("recalls what it has not stored");
    stack_.push_back(found->second);
  }

  // A number of up to eight bytes in two's complement.
  void LongInteger() {
    const std::string_view bytes = Take(Number<uint8_t>());
    if (bytes.size() > sizeof(int64_t)) Fail("has too large a number");
    const bool negative =
        !bytes.empty() && (static_cast<uint8_t>(bytes.back()) & 0x80) != 0;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    PushInteger(static_cast<int64_t>(value));
  }

  void Float() {
    const auto raw = Number<uint64_t>();  // big endian
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = (bits << 8) | ((raw >> (8 * i)) & 0xFF);
    Push(Kind::kFloat).number = std::bit_cast<double>(bits);
  }

  // False at the end.
  bool Step(uint8_t opcode) {
    switch (opcode) {
      case '.':
        return false;
      case 0x80:  // PROTO
        Take(1);
        break;
      case 0x95:  // FRAME
        Take(8);
        break;
      case '}':
        Push(Kind::kDict);
        break;
      case ']':
      case ')':
        Push(Kind::kList);
        break;
      case '(':
        marks_.push_back(stack_.size());
        break;
      case 'N':
        Push(Kind::kNone);
        break;
      case 0x88:
      case 0x89:
        Push(Kind::kBool).integer = opcode == 0x88 ? 1 : 0;
        break;
      case 'J':
        PushInteger(Number<int32_t>());
        break;
      case 'K':
        PushInteger(Number<uint8_t>());
        break;
      case 'M':
        PushInteger(Number<uint16_t>());
        break;
      case 0x8A:  // LONG1
        LongInteger();
        break;
      case 'G':
        Float();
        break;
      case 'X':
        PushText(Take(Number<uint32_t>()));
        break;
      case 0x8C:  // SHORT_BINUNICODE
        PushText(Take(Number<uint8_t>()));
        break;
      case 'c': {
        const std::string module = Line();
        Global(module, Line());
        break;
      }
      case 0x93: {  // STACK_GLOBAL
        const Node* name = Pop();
        const Node* module = Pop();
        Global(module->text, name->text);
        break;
      }
      case 'R':
        Reduce();
        break;
      case 'b':  // BUILD: attributes of a dict, which do not matter
        Pop();
        if (Top().kind != Kind::kDict) Fail("sets a state of what is no dict");
        break;
      case 'Q':  // BINPERSID
      {
        const Node* id = Pop();
        if (id->kind != Kind::kList || id->items.size() > kMostArguments) {
          Fail("has a storage that is none");
        }
        Push(Kind::kStorage).items = id->items;
      } break;
      case 't': {
        const std::vector<Node*> nodes = PopMark();
        Push(Kind::kList).items.assign(nodes.begin(), nodes.end());
        break;
      }
      case 0x85:
      case 0x86:
      case 0x87:
        PushTuple(opcode - 0x84u);
        break;
      case 's': {
        Node* value = Pop();
        Node* key = Pop();
        SetItems({key, value});
        break;
      }
      case 'u':
        SetItems(PopMark());
        break;
      case 'a':
        Append({Pop()});
        break;
      case 'e':
        Append(PopMark());
        break;
      case '0':
        Pop();
        break;
      case 'q':
        Memoize(Number<uint8_t>());
        break;
      case 'r':
        Memoize(Number<uint32_t>());
        break;
      case 0x94:  // MEMOIZE
        Memoize(static_cast<uint32_t>(memo_.size()));
        break;
      case 'h':
        Recall(Number<uint8_t>());
        break;
      case 'j':
        Recall(Number<uint32_t>());
        break;
      default:
        Fail("has the opcode " + std::to_string(opcode) +
             ", which no checkpoint needs");
    }
    return true;
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  Pickle& pickle_;
  size_t at_ = 0;
  std::vector<Node*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, Node*> memo_;
};

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& file) {
  PickleMachine(bytes, file, *this).Run();
}

}  // namespace lutra::packer
