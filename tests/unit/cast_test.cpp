// Casts, bit for bit: every 16-bit pattern there and back, rounding by hand-computed tables, and which casts exist.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/float_bits.h"
#include "ops/cast.h"
#include "remap/diagnostic.h"
#include "support/catch.h"

using namespace remap;
using namespace remap::ops;

namespace {

// Casts one dense run through the public kernel.
template <typename To, typename From>
std::vector<To> cast(DType to, DType from, const std::vector<From>& values) {
  std::vector<To> result(values.size());
  const auto count = static_cast<int64_t>(values.size());
  strided_cast(reinterpret_cast<std::byte*>(result.data()), to, reinterpret_cast<const std::byte*>(values.data()), from,
               normalised({0, 0, {{count, 1, 1}}}));
  return result;
}

std::vector<uint16_t> all_16_bits() {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  return all;
}

// The value of an f16, from its definition.
double value_of_f16(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * HUGE_VAL;
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

// The nearest f16 of a value, by search over all finite patterns of its sign: slow, and plainly right.
uint16_t nearest_f16(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::abs(value);
  if (magnitude >= 65520) return static_cast<uint16_t>(sign | 0x7c00);
  int low = 0, high = 0x7bff;
  while (high - low > 1)
    (value_of_f16(static_cast<uint16_t>((low + high) / 2)) <= magnitude ? low : high) = (low + high) / 2;
  const double below = magnitude - value_of_f16(static_cast<uint16_t>(low)),
               above = value_of_f16(static_cast<uint16_t>(high)) - magnitude;
  const int nearest = below < above ? low : above < below ? high : low % 2 == 0 ? low : high;
  return static_cast<uint16_t>(sign | nearest);
}

constexpr uint32_t bits(float value) { return std::bit_cast<uint32_t>(value); }
constexpr uint64_t bits(double value) { return std::bit_cast<uint64_t>(value); }

}  // namespace

TEST_CASE("every f16 and bf16 goes to every wider float and back unchanged, NaN payloads and signed zeros included") {
  const auto all = all_16_bits();
  for (const DType narrow : {DType::f16, DType::bf16}) {
    CHECK((cast<uint16_t, uint32_t>(narrow, DType::f32, cast<uint32_t>(DType::f32, narrow, all)) == all));
    CHECK((cast<uint16_t, uint64_t>(narrow, DType::f64, cast<uint64_t>(DType::f64, narrow, all)) == all));
    const auto wide = cast<uint32_t>(DType::f32, narrow, all);
    CHECK((cast<uint32_t, uint64_t>(DType::f32, DType::f64, cast<uint64_t>(DType::f64, DType::f32, wide)) == wide));
  }
}

TEST_CASE("every f16 has the value its bits define") {
  const auto all = all_16_bits();
  const auto wide = cast<uint32_t>(DType::f32, DType::f16, all);
  size_t wrong = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const double expected = value_of_f16(all[i]);
    const float value = std::bit_cast<float>(wide[i]);
    wrong += std::isnan(expected) ? !std::isnan(value)
                                  : (value != expected || std::signbit(value) != std::signbit(expected));
  }
  CHECK(wrong == 0);
}

TEST_CASE("narrowing to f16 is the nearest value, on and beside every tie, from f32 and from f64") {
  size_t wrong = 0;
  for (uint32_t pattern = 0; pattern < 0x7c00; ++pattern) {
    const double low = value_of_f16(static_cast<uint16_t>(pattern));
    const double high = pattern == 0x7bff ? 65536 : value_of_f16(static_cast<uint16_t>(pattern + 1));
    const double tie = (low + high) / 2;
    for (const double value :
         {low, tie, std::nextafter(tie, 0.0), std::nextafter(tie, 1e9), std::nextafter(low, 1e9)}) {
      wrong += f16_of_f64(bits(value)) != nearest_f16(value);
      wrong += f16_of_f64(bits(-value)) != nearest_f16(-value);
    }
    const float tie32 = static_cast<float>(tie);
    for (const float value : {tie32, std::nextafter(tie32, 0.0f), std::nextafter(tie32, 1e9f)}) {
      wrong += f16_of_f32(bits(value)) != nearest_f16(value);
      wrong += f16_of_f32(bits(-value)) != nearest_f16(-value);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("rounding to f16 and bf16, computed by hand") {
  struct Row {
    const char* name;
    uint32_t from;
    uint16_t f16, bf16;
  };
  // clang-format off
  static constexpr Row kRows[] = {
      {"one",                                   0x3f800000, 0x3c00, 0x3f80},
      {"minus zero",                            0x80000000, 0x8000, 0x8000},
      {"f16 tie, even below (1 + 2^-11)",       0x3f801000, 0x3c00, 0x3f80},
      {"f16 tie, even above (1 + 3*2^-11)",     0x3f803000, 0x3c02, 0x3f80},
      {"just above an f16 tie",                 0x3f801001, 0x3c01, 0x3f80},
      {"bf16 tie, even below (1 + 2^-8)",       0x3f808000, 0x3c04, 0x3f80},
      {"bf16 tie, even above (1 + 3*2^-8)",     0x3f818000, 0x3c0c, 0x3f82},
      {"just above a bf16 tie",                 0x3f808001, 0x3c04, 0x3f81},
      {"largest f16",                           0x477fe000, 0x7bff, 0x4780},
      {"just below where f16 overflows",        0x477fefff, 0x7bff, 0x4780},
      {"65520, which is the tie to infinity",   0x477ff000, 0x7c00, 0x4780},
      {"largest f32",                           0x7f7fffff, 0x7c00, 0x7f80},
      {"minus infinity",                        0xff800000, 0xfc00, 0xff80},
      {"least f16 subnormal, 2^-24",            0x33800000, 0x0001, 0x3380},
      {"half of it: tie to zero",               0x33000000, 0x0000, 0x3300},
      {"just above half of it",                 0x33000001, 0x0001, 0x3300},
      {"1.5 times it: tie to even",             0x33c00000, 0x0002, 0x33c0},
      {"largest f16 subnormal rounds up",       0x387fffff, 0x0400, 0x3880},
      {"least f32 subnormal",                   0x00000001, 0x0000, 0x0000},
      {"f32 subnormal, bf16 tie to even",       0x00018000, 0x0000, 0x0002},
      {"negative f32 subnormal",                0x80010000, 0x8000, 0x8001},
      {"quiet NaN",                             0x7fc00000, 0x7e00, 0x7fc0},
      {"signalling NaN, payload kept",          0x7fa00000, 0x7d00, 0x7fa0},
      {"NaN whose payload f16 loses",           0x7f801fff, 0x7e00, 0x7fc0},
      {"NaN whose payload both lose",           0xff800001, 0xfe00, 0xffc0},
      {"NaN with all bits",                     0xffffffff, 0xffff, 0xffff},
  };
  // clang-format on
  for (const Row& row : kRows) {
    INFO(row.name);
    CHECK(cast<uint16_t, uint32_t>(DType::f16, DType::f32, {row.from})[0] == row.f16);
    CHECK(cast<uint16_t, uint32_t>(DType::bf16, DType::f32, {row.from})[0] == row.bf16);
  }
}

TEST_CASE("from f64 there is one rounding, not two") {
  // 1 + 2^-11 + 2^-40: rounded to f32 first it would be a tie, and go down.
  CHECK(f16_of_f64(bits(1 + 0x1p-11 + 0x1p-40)) == 0x3c01);
  CHECK(f16_of_f64(bits(1 + 0x1p-11 - 0x1p-40)) == 0x3c00);
  CHECK(bf16_of_f64(bits(1 + 0x1p-8 + 0x1p-40)) == 0x3f81);
  CHECK(bf16_of_f64(bits(-(1 + 0x1p-8))) == 0xbf80);
  CHECK(f16_of_f64(bits(0x1p-25 + 0x1p-70)) == 0x0001);
  CHECK(f16_of_f64(bits(1e300)) == 0x7c00);
  CHECK(bf16_of_f64(bits(-1e300)) == 0xff80);
  CHECK(f16_of_f64(bits(-1e-300)) == 0x8000);
  CHECK(f32_of_f64(bits(1 + 0x1p-24)) == bits(1.0f));
  CHECK(f32_of_f64(bits(1 + 0x1p-24 + 0x1p-50)) == bits(1.0f + 0x1p-23f));
  CHECK(f32_of_f64(0x7ff0'0000'0000'0001) == 0x7fc00000);  // a NaN whose payload is lost
  CHECK(f32_of_f64(0xfff4'0000'0000'0000) == 0xffa00000);  // a signalling one whose payload is not
  CHECK(f16_of_f64(0x7ff0'0000'2000'0000) == 0x7e00);
}

TEST_CASE("8-bit floats") {
  CHECK(cast<uint32_t, uint8_t>(DType::f32, DType::f8_e4m3, {0x00, 0x80, 0x01, 0x08, 0x38, 0x7e, 0xfe}) ==
        std::vector<uint32_t>{bits(0.0f), bits(-0.0f), bits(0x1p-9f), bits(0x1p-6f), bits(1.0f), bits(448.0f),
                              bits(-448.0f)});
  CHECK(std::isnan(std::bit_cast<float>(f32_of_f8_e4m3(0x7f))));
  CHECK(std::isnan(std::bit_cast<float>(f32_of_f8_e4m3(0xff))));
  CHECK(cast<uint16_t, uint8_t>(DType::f16, DType::f8_e5m2, {0x3c, 0x01, 0x7b, 0x7c, 0xfd}) ==
        std::vector<uint16_t>{0x3c00, 0x0100, 0x7b00, 0x7c00, 0xfd00});
  CHECK(cast<uint64_t, uint8_t>(DType::f64, DType::f8_e4m3, {0x38}) == std::vector<uint64_t>{bits(1.0)});
  for (const DType to : {DType::f16, DType::bf16, DType::f32, DType::f64})
    for (const DType from : {DType::f8_e4m3, DType::f8_e5m2}) {
      CHECK(cast_supported(to, from));
      CHECK_FALSE(cast_supported(from, to));
    }
}

TEST_CASE("integers go only where all of their values exist") {
  struct Row {
    DType from;
    std::vector<DType> to;
  };
  using enum DType;
  const std::vector<Row> rows = {
      {boolean, {u8, i8, u16, i16, u32, i32, u64, i64, f16, bf16, f32, f64}},
      {u8, {u16, i16, u32, i32, u64, i64, f16, bf16, f32, f64}},
      {i8, {i16, i32, i64, f16, bf16, f32, f64}},
      {u16, {u32, i32, u64, i64, f32, f64}},
      {i16, {i32, i64, f32, f64}},
      {u32, {u64, i64, f64}},
      {i32, {i64, f64}},
      {u64, {}},
      {i64, {}},
      {f16, {bf16, f32, f64}},
      {bf16, {f16, f32, f64}},
      {f32, {f16, bf16, f64}},
      {f64, {f16, bf16, f32}},
      {c64, {c128}},
      {c128, {c64}},
  };
  for (const Row& row : rows)
    for (const DType to :
         {boolean, u8, i8, u16, i16, u32, i32, u64, i64, f8_e4m3, f8_e5m2, f16, bf16, f32, f64, c64, c128}) {
      INFO(name(row.from) << " to " << name(to));
      CHECK(cast_supported(to, row.from) ==
            (to == row.from || std::find(row.to.begin(), row.to.end(), to) != row.to.end()));
    }
  CHECK(cast<int64_t, int8_t>(i64, i8, {-128, 127, 0}) == std::vector<int64_t>{-128, 127, 0});
  CHECK(cast<uint32_t, int16_t>(f32, i16, {-32768}) == std::vector<uint32_t>{bits(-32768.0f)});
  CHECK(cast<uint16_t, uint8_t>(bf16, u8, {255}) == std::vector<uint16_t>{0x437f});
  CHECK(cast<uint8_t, uint8_t>(u8, boolean, {0, 1, 7}) == std::vector<uint8_t>{0, 1, 1});
  CHECK(cast<uint64_t, uint32_t>(f64, u32, {4294967295u}) == std::vector<uint64_t>{bits(4294967295.0)});
  try {
    cast<int32_t, uint32_t>(i32, f32, {0});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.diagnostic().id == "cast-unsupported");
    CHECK(error.diagnostic().message == "there is no cast from float32 to int32");
  }
}

TEST_CASE("a cast may transpose, and complex numbers are cast by part") {
  const std::vector<uint16_t> from = {0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600};  // 1 to 6, [2,3]
  std::vector<float> to(6);
  strided_cast(reinterpret_cast<std::byte*>(to.data()), DType::f32, reinterpret_cast<const std::byte*>(from.data()),
               DType::f16, normalised({0, 0, {{2, 1, 3}, {3, 2, 1}}}));
  CHECK(to == std::vector<float>{1, 4, 2, 5, 3, 6});
  std::vector<double> parts(4);
  const std::vector<float> complex = {1, 2, 3, 4};
  strided_cast(reinterpret_cast<std::byte*>(parts.data()), DType::c128,
               reinterpret_cast<const std::byte*>(complex.data()), DType::c64, normalised({1, 0, {{2, -1, 1}}}));
  CHECK(parts == std::vector<double>{3, 4, 1, 2});
}

TEST_CASE("a fill value is encoded only where the type can hold it") {
  struct Row {
    double value;
    DType to;
    bool fits;
    uint64_t bits;
  };
  const Row rows[] = {
      {0, DType::f32, true, 0},
      {1, DType::bf16, true, 0x3f80},
      {0.1, DType::f32, true, bits(0.1f)},
      {-1, DType::i64, true, ~uint64_t{0}},
      {1, DType::boolean, true, 1},
      {2, DType::boolean, false, 0},
      {256, DType::u8, false, 0},
      {-1, DType::u8, false, 0},
      {0.5, DType::i32, false, 0},
      {0x1p63, DType::i64, false, 0},
      {-0x1p63, DType::i64, true, 1ull << 63},
      {1, DType::f8_e4m3, true, 0x38},
      {0.3, DType::f8_e4m3, false, 0},
      {1, DType::c64, true, bits(1.0f)},
  };
  for (const Row& row : rows) {
    INFO(row.value << " as " << name(row.to));
    std::byte out[16] = {};
    CHECK(encode_value(row.value, row.to, out) == row.fits);
    uint64_t written = 0;
    std::memcpy(&written, out, static_cast<size_t>(std::min(8, size_bytes(row.to))));
    if (row.fits) CHECK(written == row.bits);
  }
}

TEST_CASE("the 'fnuz' kinds of float8 widen to their values, and block-scaled elements are measured but not cast") {
  struct Row {
    DType dtype;
    uint8_t bits;
    double value;
  };
  const std::vector<Row> rows = {
      {DType::f8_e4m3fnuz, 0x00, 0},
      {DType::f8_e4m3fnuz, 0x01, 0x1p-10},
      {DType::f8_e4m3fnuz, 0x08, 0x1p-7},
      {DType::f8_e4m3fnuz, 0x40, 1},
      {DType::f8_e4m3fnuz, 0x7f, 240},
      {DType::f8_e4m3fnuz, 0xff, -240},
      {DType::f8_e5m2fnuz, 0x01, 0x1p-17},
      {DType::f8_e5m2fnuz, 0x04, 0x1p-15},
      {DType::f8_e5m2fnuz, 0x40, 1},
      {DType::f8_e5m2fnuz, 0x7f, 57344},
      {DType::f8_e5m2fnuz, 0xc1, -1.25},
      {DType::f8_e8m0, 0x00, 0x1p-127},
      {DType::f8_e8m0, 0x7f, 1},
      {DType::f8_e8m0, 0xfe, 0x1p127},
      {DType::f4, 0x01, 0.5},
      {DType::f4, 0x07, 6},
      {DType::f4, 0x0a, -1},
      {DType::f6_e2m3, 0x01, 0.125},
      {DType::f6_e2m3, 0x1f, 7.5},
      {DType::f6_e3m2, 0x01, 0.0625},
      {DType::f6_e3m2, 0x3f, -28},
  };
  for (const Row& row : rows) {
    INFO(name(row.dtype) << " " << int{row.bits});
    const std::byte source[2] = {std::byte{row.bits}, std::byte{0}};
    double value = -1;
    ops::to_doubles(source, row.dtype, 1, &value);
    CHECK(value == row.value);
    const bool cast = row.dtype == DType::f8_e4m3fnuz || row.dtype == DType::f8_e5m2fnuz;
    for (const DType wide : {DType::f16, DType::bf16, DType::f32, DType::f64}) {
      CHECK(ops::cast_supported(wide, row.dtype) == cast);
      if (!cast) continue;
      std::byte bytes[8];
      ops::strided_cast(bytes, wide, source, row.dtype, {0, 0, {}});
      ops::to_doubles(bytes, wide, 1, &value);
      CHECK(value == row.value);
    }
    std::byte back[16];
    if (!is_sub_byte(row.dtype)) {
      CHECK(ops::encode_value(row.value, row.dtype, back));
      CHECK(back[0] == source[0]);
    }
  }
  const std::byte nan{0x80};
  for (const DType dtype : {DType::f8_e4m3fnuz, DType::f8_e5m2fnuz}) {
    double value = 0;
    ops::to_doubles(&nan, dtype, 1, &value);
    CHECK(std::isnan(value));
  }
  // Four numbers of six bits in three bytes, from the lowest bit up.
  const std::byte three[3] = {std::byte{0x41}, std::byte{0xf0}, std::byte{0x7f}};
  double four[4];
  ops::to_doubles(three, DType::f6_e2m3, 4, four);
  CHECK(std::vector<double>(four, four + 4) == std::vector<double>{0.125, 0.125, -7.5, 7.5});
}
