#ifndef LUTRA_KERNELS_SPAN_H_
#define LUTRA_KERNELS_SPAN_H_

#include <cstddef>
#include <type_traits>
#include <utility>

#if __cplusplus >= 202002L
#include <span>
#endif

namespace lutra {

// A view of `size` consecutive elements that somebody else owns: std::span for
// headers that C++17 can read, the same type in every version of the language.
// Converts from and to std::span, and from containers with data() and size().
template <typename T>
class Span {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;

  constexpr Span() noexcept = default;
  constexpr Span(T* data, size_t size) noexcept : data_(data), size_(size) {}
  template <size_t n>
  constexpr Span(T (&array)[n]) noexcept : data_(array), size_(n) {}
  // Containers, std::span and Span<U>, where a U(*)[] is a T(*)[].
  template <
      typename Container,
      typename U =
          std::remove_pointer_t<decltype(std::declval<Container&>().data())>,
      typename = decltype(std::declval<Container&>().size()),
      typename =
          std::enable_if_t<std::is_convertible_v<U (*)[], T (*)[]> &&
                           !std::is_same_v<std::decay_t<Container>, Span>>>
  constexpr Span(Container&& container) noexcept
      : data_(container.data()), size_(container.size()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr size_t size() const noexcept { return size_; }
  constexpr size_t size_bytes() const noexcept { return size_ * sizeof(T); }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T* begin() const noexcept { return data_; }
  constexpr T* end() const noexcept { return data_ + size_; }
  // The index is below size(); parts lie within the span.
  constexpr T& operator[](size_t index) const { return data_[index]; }
  constexpr T& front() const { return data_[0]; }
  constexpr T& back() const { return data_[size_ - 1]; }
  constexpr Span first(size_t count) const { return {data_, count}; }
  constexpr Span last(size_t count) const {
    return {data_ + size_ - count, count};
  }
  constexpr Span subspan(size_t offset) const {
    return {data_ + offset, size_ - offset};
  }
  constexpr Span subspan(size_t offset, size_t count) const {
    return {data_ + offset, count};
  }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

template <typename Container>
Span(Container&& container)
    -> Span<std::remove_pointer_t<decltype(std::declval<Container&>().data())>>;

}  // namespace lutra

#if __cplusplus >= 202002L
// Views stay valid when the Span itself is gone.
template <typename T>
inline constexpr bool std::ranges::enable_borrowed_range<lutra::Span<T>> = true;
#endif

#endif  // LUTRA_KERNELS_SPAN_H_
