// JavaScript values to the dispatcher's boxed values, guided by the operator's schema, and back.
// Conventions: a tensor argument is its handle as a BigInt, so that no number is ever taken for a tensor nor a tensor for a
// number; a whole number given for a Scalar is an integer; a dtype is its ScalarType code.
#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <napi.h>

#include <cmath>
#include <string>

#include "handles.h"

namespace sherd {

inline std::string kindOf(const Napi::Value& value) {
  if (value.IsNull()) return "null";
  if (value.IsUndefined()) return "undefined";
  if (value.IsArray()) return "an array";
  if (value.IsNumber()) return "the number " + value.ToString().Utf8Value();
  if (value.IsString()) return "the string \"" + value.As<Napi::String>().Utf8Value() + "\"";
  if (value.IsBoolean()) return "a boolean";
  if (value.IsBigInt()) return "a tensor";
  return "an object";
}

[[noreturn]] inline void mismatch(const std::string& expected, const Napi::Value& value) {
  throw std::runtime_error("expected " + expected + ", got " + kindOf(value));
}

inline double toNumber(const Napi::Value& value, const char* expected) {
  if (!value.IsNumber()) mismatch(expected, value);
  return value.As<Napi::Number>().DoubleValue();
}

inline int64_t toInteger(const Napi::Value& value) {
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value() ? 1 : 0;
  const double number = toNumber(value, "an integer");
  if (std::trunc(number) != number || std::fabs(number) > 9007199254740991.0) mismatch("an integer", value);
  return static_cast<int64_t>(number);
}

inline std::vector<int64_t> toIntegers(const Napi::Value& value) {
  if (!value.IsArray()) mismatch("an array of integers", value);
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<int64_t> integers(array.Length());
  for (uint32_t i = 0; i < array.Length(); i++) integers[i] = toInteger(array.Get(i));
  return integers;
}

inline const at::Tensor& toTensor(const Handles& handles, const Napi::Value& value) {
  return handles.get(toNumber(value, "a tensor"));
}

inline const at::Tensor& toTensorArgument(const Handles& handles, const Napi::Value& value) {
  if (!value.IsBigInt()) mismatch("a tensor", value);
  bool exact = false;
  return handles.get(static_cast<double>(value.As<Napi::BigInt>().Uint64Value(&exact)));
}

inline c10::IValue toIValue(const Handles& handles, const Napi::Value& value, const c10::TypePtr& type);

inline c10::IValue toList(const Handles& handles, const Napi::Value& value, const c10::TypePtr& element) {
  if (!value.IsArray()) mismatch("an array of " + element->str(), value);
  const Napi::Array array = value.As<Napi::Array>();
  const uint32_t length = array.Length();
  switch (element->kind()) {
    case c10::TypeKind::TensorType: {
      c10::List<at::Tensor> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(toTensorArgument(handles, array.Get(i)));
      return list;
    }
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: {
      c10::List<int64_t> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(toInteger(array.Get(i)));
      return list;
    }
    case c10::TypeKind::FloatType: {
      c10::List<double> list;
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(toNumber(array.Get(i), "a number"));
      return list;
    }
    case c10::TypeKind::BoolType: {
      c10::List<bool> list;
      for (uint32_t i = 0; i < length; i++) list.push_back(toInteger(array.Get(i)) != 0);
      return list;
    }
    default: {  // Scalar[], Tensor?[] …
      c10::impl::GenericList list(element);
      list.reserve(length);
      for (uint32_t i = 0; i < length; i++) list.push_back(toIValue(handles, array.Get(i), element));
      return list;
    }
  }
}

inline c10::IValue toIValue(const Handles& handles, const Napi::Value& value, const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::OptionalType:
      if (value.IsNull() || value.IsUndefined()) return c10::IValue();
      return toIValue(handles, value, type->castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::TensorType:
      return toTensorArgument(handles, value);
    case c10::TypeKind::ListType:
      return toList(handles, value, type->castRaw<c10::ListType>()->getElementType());
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
    case c10::TypeKind::ScalarTypeType:
      return toInteger(value);
    case c10::TypeKind::FloatType:
      return toNumber(value, "a number");
    case c10::TypeKind::BoolType:
      if (!value.IsBoolean()) mismatch("a boolean", value);
      return value.As<Napi::Boolean>().Value();
    case c10::TypeKind::NumberType: {
      if (value.IsBoolean()) return value.As<Napi::Boolean>().Value();
      const double number = toNumber(value, "a number");
      if (std::trunc(number) == number && std::fabs(number) <= 9007199254740991.0)
        return static_cast<int64_t>(number);
      return number;
    }
    case c10::TypeKind::StringType:
      if (!value.IsString()) mismatch("a string", value);
      return value.As<Napi::String>().Utf8Value();
    case c10::TypeKind::DeviceObjType:
      if (!value.IsString()) mismatch("a device such as \"cpu\" or \"cuda:0\"", value);
      return c10::Device(value.As<Napi::String>().Utf8Value());
    default:
      throw std::runtime_error("arguments of type " + type->str() + " cannot be passed from JavaScript");
  }
}

inline Napi::Value toJs(Napi::Env env, Handles& handles, const c10::IValue& value) {
  if (value.isNone()) return env.Null();
  if (value.isTensor()) {
    const at::Tensor& tensor = value.toTensor();
    return tensor.defined() ? Napi::Value(Napi::Number::New(env, handles.add(tensor))) : env.Null();
  }
  if (value.isDouble()) return Napi::Number::New(env, value.toDouble());
  if (value.isInt()) return Napi::Number::New(env, static_cast<double>(value.toInt()));
  if (value.isBool()) return Napi::Boolean::New(env, value.toBool());
  if (value.isList()) {
    const auto list = value.toListRef();
    Napi::Array array = Napi::Array::New(env, list.size());
    for (size_t i = 0; i < list.size(); i++) array.Set(static_cast<uint32_t>(i), toJs(env, handles, list[i]));
    return array;
  }
  throw std::runtime_error("a result of type " + value.tagKind() + " cannot be passed to JavaScript");
}

}  // namespace sherd
