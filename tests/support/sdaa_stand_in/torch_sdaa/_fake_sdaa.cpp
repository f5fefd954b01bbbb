// Stand-in for the SDAA device: PrivateUse1 backed by host memory.
// Every operator without a registration below runs on the CPU kernel.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/InferSize.h>
#include <ATen/TensorUtils.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/as_strided_cpu_dispatch.h>
#include <ATen/ops/set_cpu_dispatch.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/extension.h>

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace {
using c10::Device, c10::DeviceIndex, c10::Stream;
constexpr auto kSdaa = c10::DeviceType::PrivateUse1;
constexpr int kMax = 32;

int64_t env(const char* name, int64_t dflt) {
  const char* v = std::getenv(name);
  return v && *v ? std::atoll(v) : dflt;
}
int device_count() {
  static const int n = std::min<int64_t>(kMax, env("FAKE_SDAA_DEVICES", 4));
  return n;
}
int64_t device_bytes() {
  static const int64_t n = env("FAKE_SDAA_MEMORY", 15296LL << 20);
  return n;
}
thread_local DeviceIndex current = 0;
DeviceIndex check(DeviceIndex i) {
  TORCH_CHECK(i >= 0 && i < device_count(), "SDAA error: invalid device ordinal ", int(i));
  return i;
}

// ---- memory ---------------------------------------------------------------
struct Stats { int64_t now = 0, peak = 0, allocs = 0; };
std::mutex mu;
Stats stats[kMax];
int64_t syncs = 0, fallbacks = 0;
struct Header { size_t bytes; DeviceIndex dev; };

void release(void* ctx) {
  auto* h = static_cast<Header*>(ctx);
  { std::lock_guard<std::mutex> g(mu); stats[h->dev].now -= h->bytes; }
  std::free(ctx);
}
struct SdaaAllocator final : c10::DeviceAllocator {
  c10::DataPtr allocate(size_t n) override {
    DeviceIndex d = current;
    if (n == 0) return {nullptr, Device(kSdaa, d)};
    {
      std::lock_guard<std::mutex> g(mu);
      auto& s = stats[d];
      TORCH_CHECK_WITH(OutOfMemoryError, s.now + int64_t(n) <= device_bytes(),
          "SDAA out of memory. Tried to allocate ", n, " bytes on sdaa:", int(d));
      s.now += n; s.allocs++; s.peak = std::max(s.peak, s.now);
    }
    auto* p = static_cast<char*>(std::aligned_alloc(64, (n + 127) / 64 * 64));
    *reinterpret_cast<Header*>(p) = {n, d};
    return {p + 64, p, &release, Device(kSdaa, d)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* dst, const void* src, size_t n) const override { std::memcpy(dst, src, n); }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(DeviceIndex d) override {
    std::lock_guard<std::mutex> g(mu);
    c10::CachingDeviceAllocator::DeviceStats out;
    out.allocated_bytes[0].current = stats[d].now;
    out.allocated_bytes[0].peak = stats[d].peak;
    out.allocated_bytes[0].allocated = stats[d].allocs;
    return out;
  }
  void resetAccumulatedStats(DeviceIndex) override {}
  void resetPeakStats(DeviceIndex d) override {
    std::lock_guard<std::mutex> g(mu);
    stats[d].peak = stats[d].now;
  }
};
SdaaAllocator allocator;

// Page-locked host memory is ordinary memory whose addresses are remembered.
std::map<const char*, size_t> pinned;
struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t n) override {
    auto* p = static_cast<char*>(std::aligned_alloc(64, (n + 64) / 64 * 64));
    std::lock_guard<std::mutex> g(mu);
    pinned[p] = n;
    return {p, p, [](void* q) {
      { std::lock_guard<std::mutex> g(mu); pinned.erase(static_cast<char*>(q)); }
      std::free(q);
    }, Device(c10::kCPU)};
  }
  void copy_data(void* dst, const void* src, size_t n) const override { std::memcpy(dst, src, n); }
};
PinnedAllocator pinned_allocator;

// ---- device guard, streams, events ------------------------------------------
double now_ms() {
  return std::chrono::duration<double, std::milli>(
      std::chrono::steady_clock::now().time_since_epoch()).count();
}
struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kSdaa; }
  Device exchangeDevice(Device d) const override { auto o = getDevice(); setDevice(d); return o; }
  Device getDevice() const override { return {kSdaa, current}; }
  void setDevice(Device d) const override { current = check(d.index()); }
  void uncheckedSetDevice(Device d) const noexcept override { current = d.index(); }
  Stream getStream(Device d) const override { return Stream(Stream::DEFAULT, d); }
  Stream getDefaultStream(Device d) const override { return Stream(Stream::DEFAULT, d); }
  Stream getStreamFromGlobalPool(Device d, bool) const override { return Stream(Stream::DEFAULT, d); }
  Stream getNewStream(Device d, int) const override { return Stream(Stream::DEFAULT, d); }
  Stream exchangeStream(Stream s) const override { return Stream(Stream::DEFAULT, s.device()); }
  DeviceIndex deviceCount() const noexcept override { return device_count(); }
  void destroyEvent(void* e, DeviceIndex) const noexcept override { delete static_cast<double*>(e); }
  void record(void** e, const Stream&, DeviceIndex, c10::EventFlag) const override {
    if (!*e) *e = new double;
    *static_cast<double*>(*e) = now_ms();
  }
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const Stream&) const override { return true; }
  void synchronizeStream(const Stream&) const override { ++syncs; }
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(DeviceIndex) const override { ++syncs; }
  void recordDataPtrOnStream(const c10::DataPtr&, const Stream&) const override {}
  double elapsedTime(void* a, void* b, DeviceIndex) const override {
    return *static_cast<double*>(b) - *static_cast<double*>(a);
  }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

// ---- random numbers: one generator per device --------------------------------
struct SdaaGenerator final : at::CPUGeneratorImpl {
  explicit SdaaGenerator(DeviceIndex d) {
    device_ = Device(kSdaa, d);
    key_set_ = c10::DispatchKeySet(c10::DispatchKey::PrivateUse1);
  }
};
const at::Generator& default_generator(DeviceIndex d) {
  static std::vector<at::Generator> all = [] {
    std::vector<at::Generator> v;
    for (int i = 0; i < device_count(); ++i) v.push_back(at::make_generator<SdaaGenerator>(i));
    return v;
  }();
  return all.at(d < 0 ? current : d);
}
struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return device_count() > 0; }
  const at::Generator& getDefaultGenerator(DeviceIndex d) const override { return default_generator(d); }
  at::Generator getNewGenerator(DeviceIndex d) const override {
    return at::make_generator<SdaaGenerator>(d < 0 ? current : d);
  }
  Device getDeviceFromPtr(void* p) const override {
    return {kSdaa, reinterpret_cast<Header*>(static_cast<char*>(p) - 64)->dev};
  }
  at::Allocator* getPinnedMemoryAllocator() const override { return &pinned_allocator; }
  bool isPinnedPtr(const void* p) const override {
    std::lock_guard<std::mutex> g(mu);
    auto it = pinned.upper_bound(static_cast<const char*>(p));
    if (it == pinned.begin()) return false;
    --it;
    return static_cast<const char*>(p) < it->first + std::max<size_t>(it->second, 1);
  }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return device_count(); }
  void setCurrentDevice(DeviceIndex d) const override { current = check(d); }
  DeviceIndex getCurrentDevice() const override { return current; }
  DeviceIndex exchangeDevice(DeviceIndex d) const override { return std::exchange(current, check(d)); }
  DeviceIndex maybeExchangeDevice(DeviceIndex d) const override { return std::exchange(current, check(d)); }
  void resizePrivateUse1Bytes(const c10::Storage& s, size_t n) const override {
    c10::DeviceGuard g(s.device());
    auto p = allocator.allocate(n);
    if (s.nbytes()) std::memcpy(p.get(), s.data(), std::min(n, s.nbytes()));
    s.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(p));
    s.unsafeGetStorageImpl()->set_nbytes(n);
  }
};

// ---- operators -----------------------------------------------------------------
// A CPU view of the same bytes; keeps the original storage alive.
at::Tensor as_cpu(const at::Tensor& t) {
  if (!t.defined() || !t.is_privateuseone()) return t;
  return at::from_blob(t.data_ptr(), t.sizes(), t.strides(), [t](void*) {},
                       t.options().device(at::kCPU));
}
at::Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<Device> dev, std::optional<bool>, std::optional<at::MemoryFormat> fmt) {
  c10::OptionalDeviceGuard g(dev);
  return at::detail::empty_generic(size, &allocator, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), fmt);
}
at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<Device> dev, std::optional<bool>) {
  c10::OptionalDeviceGuard g(dev);
  return at::detail::empty_strided_generic(size, stride, &allocator,
      c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(dtype));
}
at::Tensor as_strided(const at::Tensor& t, c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                      std::optional<c10::SymInt> off) {
  return at::cpu::as_strided_symint(t, size, stride, off);
}
at::Tensor view(const at::Tensor& t, c10::SymIntArrayRef size) {
  auto dims = C10_AS_INTARRAYREF_SLOW(size);
  auto shape = at::infer_size_dv(dims, t.numel());
  auto stride = at::detail::computeStride(t.sizes(), t.strides(), shape);
  TORCH_CHECK(stride, "view size is not compatible with input tensor's size and stride; use .reshape(...)");
  return as_strided(t, c10::fromIntArrayRefSlow(shape), c10::fromIntArrayRefSlow(*stride), t.storage_offset());
}
at::Tensor reshape_alias(const at::Tensor& t, c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
  return as_strided(t, size, stride, t.storage_offset());
}
const at::Tensor& resize_(const at::Tensor& t, c10::SymIntArrayRef size, std::optional<at::MemoryFormat> fmt) {
  return at::native::resize_(t, C10_AS_INTARRAYREF_SLOW(size), fmt);
}
at::Tensor& set_storage(at::Tensor& t, at::Storage s, c10::SymInt off, c10::SymIntArrayRef size,
                        c10::SymIntArrayRef stride) {
  return at::cpu::set__symint(t, s, off, size, stride);
}
at::Tensor& set_source_storage(at::Tensor& t, at::Storage s) {
  auto n = c10::SymInt(int64_t(s.nbytes() / t.itemsize()));
  return at::cpu::set__symint(t, s, 0, c10::SymIntArrayRef(n), {});
}
at::Tensor& set_source_tensor(at::Tensor& t, const at::Tensor& src) {
  return at::cpu::set__symint(t, src.storage(), src.sym_storage_offset(), src.sym_sizes(), src.sym_strides());
}
// Results are there at once, but count as done when the device's time for them is over: reading waits for that.
double done_at = 0;
void take_time(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  static const int64_t us_per_mflop = env("FAKE_SDAA_US_PER_MFLOP", 0);
  if (!us_per_mflop || op.schema().name() != "aten::mm") return;
  auto a = stack[stack.size() - 2].toTensor(), b = stack[stack.size() - 1].toTensor();
  done_at = std::max(done_at, now_ms()) + 2e-9 * a.numel() * b.size(1) * us_per_mflop;
}
thread_local bool computing = false;  // its operands come to the host, which on a card they would not
void wait() {
  double left = computing ? 0 : done_at - now_ms();
  if (left > 0) std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(left));
}
at::Tensor copy_from(const at::Tensor& src, const at::Tensor& dst, bool) {
  if (dst.is_cpu()) wait();
  as_cpu(dst).copy_(as_cpu(src));
  return dst;
}
at::Tensor copy_from_and_resize(const at::Tensor& src, const at::Tensor& dst) {
  if (src.sizes() != dst.sizes()) dst.resize_(src.sizes());
  return copy_from(src, dst, false);
}
// The vendor overrides this operator, so module.to("sdaa") keeps its Parameter objects.
bool shallow_copy_ok(const at::Tensor&, const at::Tensor&) {
  static const bool keep = env("FAKE_SDAA_KEEP_PARAMS", 1);
  return keep;
}
at::Scalar local_scalar(const at::Tensor& t) { wait(); return as_cpu(t).item(); }
at::Tensor conv(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& b, at::IntArrayRef s,
                at::IntArrayRef p, at::IntArrayRef d, bool tr, at::IntArrayRef op, int64_t g) {
  return at::convolution(as_cpu(x), as_cpu(w), b ? std::optional(as_cpu(*b)) : b, s, p, d, tr, op, g).to(x.device());
}
std::tuple<at::Tensor, at::Tensor, at::Tensor> conv_backward(
    const at::Tensor& gy, const at::Tensor& x, const at::Tensor& w, at::IntArrayRef s, at::IntArrayRef p,
    at::IntArrayRef d, bool tr, at::IntArrayRef op, int64_t g, std::array<bool, 3> mask) {
  std::vector<int64_t> bias{gy.size(1)};
  auto [a, b, c] = at::convolution_backward(as_cpu(gy), as_cpu(x), as_cpu(w), at::IntArrayRef(bias), s, p, d, tr, op, g, mask);
  auto back = [&](const at::Tensor& t) { return t.defined() ? t.to(x.device()) : t; };
  return {back(a), back(b), back(c)};
}
// cpu_fallback would accept mixed devices; an accelerator does not.
void check_devices(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  static const std::set<std::string> any_index{"aten::index", "aten::index_put_", "aten::_index_put_impl_"};
  if (any_index.count(op.schema().name())) return;
  std::optional<Device> first;
  auto see = [&](const at::Tensor& t) {
    if (!t.defined() || (t.dim() == 0 && t.is_cpu())) return;
    if (!first) first = t.device();
    TORCH_CHECK(*first == t.device(), "Expected all tensors to be on the same device, but found at least two devices, ",
                *first, " and ", t.device(), "! (", op.schema().name(), ")");
  };
  for (size_t i = stack.size() - op.schema().arguments().size(); i < stack.size(); ++i) {
    auto& v = stack[i];
    if (v.isTensor()) see(v.toTensor());
    else if (v.isTensorList()) for (const at::Tensor& t : v.toTensorList()) see(t);
  }
}
void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  ++fallbacks;
  check_devices(op, *stack);
  take_time(op, *stack);
  struct Computing {
    bool before = std::exchange(computing, true);
    ~Computing() { computing = before; }
  } guard;
  if (!op.hasTag(at::Tag::nondeterministic_seeded)) return at::native::cpu_fallback(op, stack);
  // Random operators draw from the device's own generator, never from the CPU's.
  at::Generator dev = default_generator(-1);
  for (size_t i = stack->size() - op.schema().arguments().size(); i < stack->size(); ++i) {
    auto& v = (*stack)[i];
    if (v.isGenerator() && v.toGenerator().device().type() == kSdaa) dev = v.toGenerator(), v = c10::IValue();
  }
  at::Generator cpu = at::detail::getDefaultCPUGenerator();
  auto saved = cpu.get_state();
  cpu.set_state(dev.get_state());
  at::native::cpu_fallback(op, stack);
  dev.set_state(cpu.get_state());
  cpu.set_state(saved);
}

// ---- "tccl": gloo on the bytes behind sdaa tensors -----------------------------
using Tensors = std::vector<at::Tensor>;
at::Tensor host(const at::Tensor& t) {
  TORCH_CHECK(t.is_privateuseone(), "tccl: expected an sdaa tensor, got one on ", t.device());
  TORCH_CHECK(t.is_contiguous(), "tccl: tensors must be contiguous");
  return as_cpu(t.detach());
}
Tensors host(const Tensors& v) {
  Tensors out;
  for (auto& t : v) out.push_back(host(t));
  return out;
}
std::vector<Tensors> host(const std::vector<Tensors>& v) {
  std::vector<Tensors> out;
  for (auto& t : v) out.push_back(host(t));
  return out;
}
using WorkPtr = c10::intrusive_ptr<c10d::Work>;
struct DoneWork final : c10d::Work {
  c10::intrusive_ptr<c10::ivalue::Future> future;
  explicit DoneWork(const Tensors& result) : c10d::Work(-1, c10d::OpType::UNKNOWN) {
    std::vector<Device> devices{{kSdaa, current}};
    if (!result.empty()) devices = {result[0].device()};
    future = c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()), devices);
    future->markCompleted(c10::IValue(result));
    finish();
  }
  bool wait(std::chrono::milliseconds) override { return true; }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future; }
};
struct Tccl final : c10d::Backend {
  c10::intrusive_ptr<c10d::Backend> gloo;
  explicit Tccl(c10::intrusive_ptr<c10d::Backend> g) : Backend(g->getRank(), g->getSize()), gloo(std::move(g)) {}
  const std::string getBackendName() const override { return "tccl"; }
  static WorkPtr done(const WorkPtr& w, const Tensors& result) {
    if (w) w->wait();
    return c10::make_intrusive<DoneWork>(result);
  }
  WorkPtr allreduce(Tensors& t, const c10d::AllreduceOptions& o) override {
    auto h = host(t);
    auto opts = o;
    const bool avg = o.reduceOp == c10d::ReduceOp::AVG;  // gloo has no AVG
    if (avg) opts.reduceOp = c10d::ReduceOp::SUM;
    gloo->allreduce(h, opts)->wait();
    if (avg) for (auto& x : h) x.div_(getSize());
    return done(nullptr, t);
  }
  WorkPtr allreduce_coalesced(Tensors& t, const c10d::AllreduceCoalescedOptions& o) override {
    auto h = host(t);
    return done(gloo->allreduce_coalesced(h, o), t);
  }
  WorkPtr broadcast(Tensors& t, const c10d::BroadcastOptions& o) override {
    auto h = host(t);
    return done(gloo->broadcast(h, o), t);
  }
  WorkPtr reduce(Tensors& t, const c10d::ReduceOptions& o) override {
    auto h = host(t);
    return done(gloo->reduce(h, o), t);
  }
  WorkPtr allgather(std::vector<Tensors>& out, Tensors& in, const c10d::AllgatherOptions& o) override {
    auto ho = host(out); auto hi = host(in);
    return done(gloo->allgather(ho, hi, o), out[0]);
  }
  WorkPtr _allgather_base(at::Tensor& out, at::Tensor& in, const c10d::AllgatherOptions& o) override {
    auto ho = host(out), hi = host(in);
    return done(gloo->_allgather_base(ho, hi, o), {out});
  }
  WorkPtr allgather_into_tensor_coalesced(Tensors& out, Tensors& in, const c10d::AllgatherOptions& o) override {
    auto ho = host(out), hi = host(in);
    return done(gloo->allgather_into_tensor_coalesced(ho, hi, o), out);
  }
  WorkPtr reduce_scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ReduceScatterOptions& o) override {
    auto ho = host(out); auto hi = host(in);
    return done(gloo->reduce_scatter(ho, hi, o), out);
  }
  WorkPtr _reduce_scatter_base(at::Tensor& out, at::Tensor& in, const c10d::ReduceScatterOptions& o) override {
    auto ho = host(out), hi = host(in);
    return done(gloo->_reduce_scatter_base(ho, hi, o), {out});
  }
  WorkPtr gather(std::vector<Tensors>& out, Tensors& in, const c10d::GatherOptions& o) override {
    auto ho = host(out); auto hi = host(in);
    return done(gloo->gather(ho, hi, o), out.empty() ? Tensors{} : out[0]);
  }
  WorkPtr scatter(Tensors& out, std::vector<Tensors>& in, const c10d::ScatterOptions& o) override {
    auto ho = host(out); auto hi = host(in);
    return done(gloo->scatter(ho, hi, o), out);
  }
  WorkPtr alltoall_base(at::Tensor& out, at::Tensor& in, std::vector<int64_t>& os, std::vector<int64_t>& is,
                        const c10d::AllToAllOptions& o) override {
    auto ho = host(out), hi = host(in);
    return done(gloo->alltoall_base(ho, hi, os, is, o), {out});
  }
  WorkPtr alltoall(Tensors& out, Tensors& in, const c10d::AllToAllOptions&) override {
    auto ho = host(out), hi = host(in);
    for (int root = 0; root < getSize(); ++root) {  // gloo has no alltoall
      c10d::ScatterOptions so;
      so.rootRank = root;
      Tensors one{ho[root]};
      std::vector<Tensors> src;
      if (root == getRank()) src.push_back(hi);
      gloo->scatter(one, src, so)->wait();
    }
    return done(nullptr, out);
  }
  WorkPtr send(Tensors& t, int dst, int tag) override { auto h = host(t); return done(gloo->send(h, dst, tag), t); }
  WorkPtr recv(Tensors& t, int src, int tag) override { auto h = host(t); return done(gloo->recv(h, src, tag), t); }
  WorkPtr barrier(const c10d::BarrierOptions& o) override {
    auto opts = o;
    opts.device_ids.clear();
    opts.device.reset();
    return done(gloo->barrier(opts), {});
  }
};
}  // namespace

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("as_strided", as_strided);
  m.impl("view", view);
  m.impl("_reshape_alias", reshape_alias);
  m.impl("resize_", resize_);
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("set_.source_Storage", set_source_storage);
  m.impl("set_.source_Tensor", set_source_tensor);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_has_compatible_shallow_copy_type", shallow_copy_ok);
  m.impl("_local_scalar_dense", local_scalar);
  m.impl("convolution_overrideable", conv);
  m.impl("convolution_backward_overrideable", conv_backward);
}
TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>()); }
TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }
namespace at::autocast {  // the same cast policies CUDA uses
#define LP(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
#define F32(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
#define F32OPT(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32_set_opt_dtype)
#define PROMOTE(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
  AT_FORALL_LOWER_PRECISION_FP(LP)
  AT_FORALL_FP32(F32)
  AT_FORALL_FP32_SET_OPT_DTYPE(F32OPT)
  AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE(KERNEL_DIFFERENT_REDISPATCH_SIGNATURE_PRIVATEUSEONE)
  AT_FORALL_PROMOTE(PROMOTE)
}
}  // namespace at::autocast

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  c10::SetAllocator(kSdaa, &allocator);
  at::RegisterPrivateUse1HooksInterface(new Hooks());
  m.def("tccl", [](c10d::Backend& gloo) -> c10::intrusive_ptr<c10d::Backend> {
    return c10::make_intrusive<Tccl>(c10::intrusive_ptr<c10d::Backend>::unsafe_reclaim_from_nonowning(&gloo));
  });
  m.def("device_count", &device_count);
  m.def("total_memory", &device_bytes);
  m.def("current_device", [] { return int(current); });
  m.def("set_device", [](int d) { current = check(d); });
  m.def("default_generator", [](int d) { return default_generator(check(d)); });
  m.def("as_cpu", &as_cpu);
  m.def("note_sync", [] { ++syncs; });
  m.def("wait", &wait, py::call_guard<py::gil_scoped_release>());
  m.def("counters", [] { return std::make_tuple(syncs, fallbacks); });
  m.def("memory", [](int d) {
    std::lock_guard<std::mutex> g(mu);
    return std::make_tuple(stats[d].now, stats[d].peak, stats[d].allocs);
  });
  m.def("reset_peak", [](int d) { allocator.resetPeakStats(d); });
}
