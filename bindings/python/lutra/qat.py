"""Quantization-aware training on arrays of the caller's: PARQ.

QuantOptimizer is the one of torchao.prototype.parq, with the same arguments,
around the same optimizers. Parameters are torch tensors in the CPU's memory, or
Parameters of numpy arrays, with SGD, Adam and AdamW of this module.
docs/python.md.
"""

import collections
import sys

from ._lutra import BaseCore, ProxMap, QuantCore, Quantizer


def StretchedUnifTorchaoQuantizer(b=None, int_shift=0.5):
    """2^b levels, none of them zero. The group says how many bits; b is not used."""
    if int_shift != 0.5:
        raise ValueError("int_shift must be 0.5")
    return Quantizer("stretched")


def UnifTorchaoQuantizer():
    """Symmetric integers."""
    return Quantizer("intx")


def Int4UnifTorchaoQuantizer():
    """4-bit integers with a zero point in floats."""
    return Quantizer("int4")


def UnifQuantizer(center=False, scale_method="mean", int_shift=0.5, zero_point=0.5):
    """Uniform levels; the scale from the mean or the maximum."""
    return Quantizer.uniform(center, scale_method, int_shift, zero_point)


def MaxUnifQuantizer(center=False):
    """2^b - 1 levels around zero, up to the largest value."""
    return (
        Quantizer.uniform(True, "max", 1.0, 0.0)
        if center
        else Quantizer("max-uniform")
    )


def TernaryUnifQuantizer(center=False):
    """-s, 0, s; for 0 bits."""
    return Quantizer.ternary(center)


def LSBQuantizer(center=False, optimal=False, ternary_multiplier=1.1):
    """Least-squares binary quantization: levels +-v_1 +- ... +- v_b."""
    return Quantizer.lsbq(center, optimal, ternary_multiplier)


def ProxHardQuant():
    """Quantizes at every step."""
    return ProxMap.hard()


def ProxPARQ(anneal_start, anneal_end, steepness=10, anneal_center=0.5):
    """Pulls values towards the grid more and more, from anneal_start to anneal_end."""
    return ProxMap.parq(anneal_start, anneal_end, steepness, anneal_center)


def ProxBinaryRelax(anneal_start, anneal_end):
    """A mean of the value and its level, whose weight moves to the level."""
    return ProxMap.binary_relax(anneal_start, anneal_end)


# torchao's own objects serve, too. By the name of their class: what they are
# here, and the attributes that say so.
_TORCHAO = {
    "StretchedUnifTorchaoQuantizer": lambda q: StretchedUnifTorchaoQuantizer(
        int_shift=q.int_shift
    ),
    "UnifTorchaoQuantizer": lambda q: UnifTorchaoQuantizer()
    if q.mapping_type.name == "SYMMETRIC"
    else None,
    "Int4UnifTorchaoQuantizer": lambda q: Int4UnifTorchaoQuantizer(),
    "UnifQuantizer": lambda q: UnifQuantizer(
        q.center, q.scale_method, q.int_shift, q.zero_point
    ),
    "MaxUnifQuantizer": lambda q: MaxUnifQuantizer(q.center),
    "TernaryUnifQuantizer": lambda q: TernaryUnifQuantizer(q.center),
    "LSBQuantizer": lambda q: LSBQuantizer(q.center, q.optimal, q.ternary_multiplier),
    "ProxHardQuant": lambda m: ProxHardQuant(),
    "ProxPARQ": lambda m: ProxPARQ(
        m.anneal_start, m.anneal_end, m.steepness, m.anneal_center
    ),
    "ProxBinaryRelax": lambda m: ProxBinaryRelax(m.anneal_start, m.anneal_end),
}


def _own(value, kind):
    if isinstance(value, kind):
        return value
    make = _TORCHAO.get(type(value).__name__)
    own = make(value) if make else None
    if not isinstance(own, kind):
        raise TypeError(f"{value!r} is no {kind.__name__} of lutra or torchao")
    return own


class Parameter:
    """A numpy array to train, float32, and its gradient, which the caller sets."""

    def __init__(self, data, requires_grad=True):
        self.data = data
        self.grad = None
        self.requires_grad = requires_grad


def _array(parameter):
    """The values, where they lie."""
    return parameter.detach() if hasattr(parameter, "detach") else parameter.data


class _Base:
    """What SGD, Adam and AdamW have in common with optimizers of torch."""

    def __init__(self, kind, params, defaults, options, threads):
        params = list(params)
        groups = params if params and isinstance(params[0], dict) else [{"params": params}]
        self.param_groups = [{**defaults, **group} for group in groups]
        for group in self.param_groups:
            group["params"] = [
                p if hasattr(p, "requires_grad") else Parameter(p)
                for p in group["params"]
            ]
        self.state = collections.defaultdict(dict)
        self._core = BaseCore(
            kind, self.param_groups, self._arrays(), options, threads
        )

    def _arrays(self):
        return [[_array(p) for p in group["params"]] for group in self.param_groups]

    def zero_grad(self):
        """Forgets the gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self, closure=None):
        """Changes every parameter that has a gradient."""
        loss = None if closure is None else closure()
        gradients = [
            [p.grad if p.requires_grad else None for p in group["params"]]
            for group in self.param_groups
        ]
        self._core.step(self.param_groups, self._arrays(), gradients)
        return loss


class SGD(_Base):
    """torch.optim.SGD for arrays."""

    def __init__(self, params, lr=1e-3, momentum=0.0, dampening=0.0,
                 weight_decay=0.0, nesterov=False, *, threads=0):
        options = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
        defaults = {"lr": lr, "weight_decay": weight_decay}
        super().__init__("sgd", params, defaults, options, threads)


class Adam(_Base):
    """torch.optim.Adam for arrays."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8,
                 weight_decay=0.0, *, threads=0):
        options = {"beta1": betas[0], "beta2": betas[1], "eps": eps}
        defaults = {"lr": lr, "weight_decay": weight_decay}
        super().__init__("adam", params, defaults, options, threads)


class AdamW(_Base):
    """torch.optim.AdamW for arrays."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8,
                 weight_decay=1e-2, *, threads=0):
        options = {"beta1": betas[0], "beta2": betas[1], "eps": eps}
        defaults = {"lr": lr, "weight_decay": weight_decay}
        super().__init__("adamw", params, defaults, options, threads)


def _is_quantized(group):
    return group.get("quant_bits", 16) < 16


class QuantOptimizer:
    """Quantization-aware training around an optimizer, as torchao's.

    base_optimizer: one of torch's, or of this module. Its groups with
      "quant_bits" below 16 (0: ternary) are quantized, with "quant_block_size"
      in blocks. Their parameters are float32 and contiguous, in the CPU's memory.
    quantizer, prox_map: of this module, or torchao's.
    warmup_steps: steps at the start in which the base optimizer runs alone.
    quant_period: grids are derived anew every that many steps.
    quant_per_channel: one grid per row, or block; else one per tensor.
    quant_shrink: divides by max(1, sum of the learning rates) before projecting.
    anneal_wd_frac: the part of the weight decay that follows PARQ's slope.
    group_quantizer_map: quantizers by the position among the quantized groups.
    short_last_blocks: blocks that do not divide the rows leave a shorter one.

    Around an optimizer of torch it is an instance of torch.optim.Optimizer.
    Attributes that it does not have are the base optimizer's.
    """

    def __new__(cls, base_optimizer, *args, **kwargs):
        torch = sys.modules.get("torch")
        if (
            cls is QuantOptimizer
            and torch is not None
            and isinstance(base_optimizer, torch.optim.Optimizer)
        ):
            # For schedulers, which ask for the class.
            cls = type("QuantOptimizer", (cls, torch.optim.Optimizer), {})
        return object.__new__(cls)

    def __init__(self, base_optimizer, quantizer, prox_map, warmup_steps=0,
                 quant_period=10, quant_per_channel=False, quant_shrink=False,
                 anneal_wd_frac=0.0, group_quantizer_map=None, *,
                 short_last_blocks=False, threads=0):
        self.base_optimizer = base_optimizer
        self.quantizer = _own(quantizer, Quantizer)
        self.prox_map = _own(prox_map, ProxMap)
        self.group_quantizer_map = {
            index: _own(own, Quantizer)
            for index, own in (group_quantizer_map or {}).items()
        }
        self.warmup_steps = warmup_steps
        self.quant_per_channel = quant_per_channel
        self._state_step = 0  # that the base optimizer's state is of
        self._core = QuantCore(
            self.param_groups, self._arrays(), self.quantizer, self.prox_map,
            warmup_steps, quant_period, quant_per_channel, quant_shrink,
            anneal_wd_frac, self.group_quantizer_map, short_last_blocks, threads,
        )

    def __getattr__(self, name):
        if name == "base_optimizer":  # not made yet
            raise AttributeError(name)
        return getattr(self.base_optimizer, name)

    def __repr__(self):
        return f"QuantOptimizer({self.base_optimizer!r}, {self.quantizer.name!r})"

    def regularized_param_groups(self):
        """The groups that are quantized."""
        return (group for group in self.param_groups if _is_quantized(group))

    def _quantized(self):
        """(group, position in it, parameter) of all that have latent weights."""
        for i, group in enumerate(self.param_groups):
            if _is_quantized(group):
                for j, p in enumerate(group["params"]):
                    yield i, j, p

    def _arrays(self):
        return [
            [_array(p) for p in group["params"]] if _is_quantized(group) else []
            for group in self.param_groups
        ]

    @property
    def num_steps(self):
        """Steps done, warm-up included."""
        return next((g["num_steps"] for g in self.regularized_param_groups()), 0)

    @property
    def state(self):
        """The base optimizer's state, with "latent" and "quants" of quantized
        parameters: copies of what they are now."""
        state = self.base_optimizer.state
        if self._state_step != self.num_steps:
            for i, j, p in self._quantized():
                for entry in ("latent", "quants"):
                    values = self._core.entry(i, j, entry)
                    if values is not None:
                        state[p][entry] = self._like(p, values, entry)
            self._state_step = self.num_steps
        return state

    @staticmethod
    def _like(parameter, values, entry):
        if hasattr(parameter, "detach"):
            values = sys.modules["torch"].from_numpy(values)
        return values.reshape(tuple(parameter.shape)) if (
            entry == "latent" and hasattr(parameter, "shape")
        ) else values

    def step(self, closure=None):
        """One step: the base optimizer's on the latent weights, then the map."""
        loss = None

        def base_step():
            nonlocal loss
            loss = self.base_optimizer.step() if closure is None else (
                self.base_optimizer.step(closure)
            )

        trainable = [
            [p.requires_grad for p in group["params"]] if _is_quantized(group) else []
            for group in self.param_groups
        ]
        self._core.step(self.param_groups, self._arrays(), trainable, base_step)
        return loss

    def zero_grad(self, *args, **kwargs):
        """The base optimizer's."""
        self.base_optimizer.zero_grad(*args, **kwargs)

    def state_dict(self):
        """The base optimizer's, with latent weights and grids."""
        self.state  # brings it up to date
        return self.base_optimizer.state_dict()

    def load_state_dict(self, state_dict):
        """Goes on where state_dict was taken."""
        self.base_optimizer.load_state_dict(state_dict)
        for i, j, p in self._quantized():
            for entry in ("latent", "quants"):
                values = self.base_optimizer.state[p].get(entry)
                if values is not None:
                    self._core.set_entry(i, j, entry, values)
        self._state_step = self.num_steps

    def restore_latent_params(self):
        """Writes the latent weights into the parameters."""
        for i, j, p in self._quantized():
            latent = self._core.entry(i, j, "latent")
            if latent is not None:
                array = _array(p)
                array[...] = self._like(p, latent, "latent").reshape(array.shape)

    def schemes(self, named_parameters):
        """The schemes of write_model, of the parameters that are quantized:
        (name, parameter) pairs, as a module's named_parameters() has them."""
        names = {id(p): name for name, p in named_parameters}
        schemes = {}
        for index, group in enumerate(self.regularized_param_groups()):
            quantizer = self.group_quantizer_map.get(index, self.quantizer)
            block = group.get("quant_block_size") if self.quant_per_channel else None
            for p in group["params"]:
                if id(p) in names:
                    schemes[names[id(p)]] = {
                        "quantizer": quantizer.name,
                        "bits": group["quant_bits"],
                        "group_size": block or 0,
                    }
        return schemes
