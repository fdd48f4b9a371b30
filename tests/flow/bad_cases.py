"""All inputs that `convert` must refuse: files, graphs, factories, pictures, options."""

from __future__ import annotations

from .bad_networks import (
    Case,
    a_file,
    code_case,
    cut_picture,
    empty_folder,
    forward_case,
    no_picture,
    option_case,
    pictures_case,
    text_only,
)
from .bad_onnx import ONNX_CASES

CASES = (
    *ONNX_CASES,
    # factories
    Case(
        "no_module",
        lambda folder: "no_such_module_here:Net",
        ("no Python module 'no_such_module_here'",),
        ("--size", "8"),
    ),
    code_case("no_factory", "class Other: pass", "bad_no_factory has no 'Net'"),
    code_case("no_size", "def Net(): return nn.Conv2d(3, 4, 3)", "give --size", size=None),
    code_case("no_net", "def Net(): return 3", "Net() returns int, not a torch.nn.Module"),
    code_case("no_function", "Net = 'text'", "is str, no function"),
    code_case(
        "raising_factory", "def Net(): raise KeyError('lost')", "Net() fails", "KeyError", "lost"
    ),
    code_case("syntax", "def Net(: pass", "importing bad_syntax fails", "SyntaxError"),
    code_case(
        "wants_arguments", "def Net(width): return nn.Conv2d(3, width, 3)", "Net() fails", "width"
    ),
    code_case(
        "in_float64", "def Net(): return nn.Conv2d(3, 4, 3).double()", "torch.float64", "'weight'"
    ),
    code_case("no_picture_network", "def Net(): return nn.Linear(8, 4)", "'linear'", "flatten"),
    code_case(
        "nan_parameters",
        "def Net():\n"
        "    net = nn.Sequential(nn.Conv2d(3, 4, 3))\n"
        "    nn.init.constant_(net[0].weight, float('nan'))\n"
        "    return net",
        "'0'",
        "module 0 (Conv2d)",
        "108 values of 108",
    ),
    forward_case(
        "volume",
        "return self.conv(x.unsqueeze(2))",
        "module conv (Conv3d)",
        "is 3-D",
        layers="self.conv = nn.Conv3d(3, 4, (1, 3, 3))",
    ),
    forward_case(
        "raises", "raise RuntimeError('not\\nready')", "bad_raises.py:9", "RuntimeError: not"
    ),
    forward_case(
        "branches", "return x if x.sum() > 0 else self.conv(x)", "must not branch on values"
    ),
    forward_case(
        "activation",
        "return torch.nn.functional.silu(self.conv(x))",
        "aten.silu",
        "module (the whole) (Net)",
        "bad_activation.py:9",
        "use ReLU",
    ),
    forward_case("wrong_shapes", "return self.conv(x[:, :2])", "cannot follow forward()"),
    forward_case(
        "random_numbers", "return self.conv(x) + torch.randn(4, 6, 6)", "aten.randn", "random"
    ),
    forward_case(
        "attention",
        "y = self.conv(x)\n            return y * y.mean((2, 3), keepdim=True)",
        "aten.mul",
        "combines two maps",
    ),
    forward_case("crops", "return self.conv(x)[:, :, 1:]", "aten.slice"),
    forward_case(
        "transposed_module",
        "return self.conv(x)",
        "module conv (ConvTranspose2d)",
        "conv_transpose2d",
        layers="self.conv = nn.ConvTranspose2d(3, 4, 2)",
    ),
    forward_case(
        "dilated_pool",
        "return self.conv(x)",
        "module conv (MaxPool2d)",
        "is dilated",
        layers="self.conv = nn.MaxPool2d(2, dilation=2)",
    ),
    # pictures
    pictures_case("no_folder", lambda folder: None, "no such folder of pictures", "own"),
    pictures_case("empty_folder", empty_folder, "has no pictures in it, it is empty"),
    pictures_case("only_texts", text_only, "has no pictures in it, only 1 other files"),
    pictures_case("no_picture", no_picture, "cat.jpg is not a readable picture"),
    pictures_case("cut_picture", cut_picture, "cut.png is not a readable picture"),
    pictures_case("folder_is_a_file", a_file, "own is a file, not a folder of pictures"),
    # options
    option_case(
        "gray_for_three", ("--channels", "gray"), "--channels gray gives 1, but the network reads 3"
    ),
    option_case("unknown_channels", ("--channels", "hsv"), "hsv"),
    option_case("two_means", ("--mean", "0.4,0.5"), "--mean wants 1 or 3 numbers"),
    option_case("no_number", ("--std", "small"), "--std wants numbers"),
    option_case("zero_std", ("--std", "0"), "--std must be positive, not 0"),
    option_case("wrong_size", ("--size", "9"), "--size 9 does not fit"),
    option_case("unknown_rounding", ("--rounding", "guess"), "guess"),
    option_case("no_rounding", ("--rounding", ""), "no rounding method ''", "greedy"),
    option_case("empty_observer", ("--observer", ""), "--observer must be one of error"),
    option_case("empty_channels", ("--channels", ""), "channels must be one of", "not ''"),
    option_case("no_crops", ("--rounding", "compensated", "--crops", "0"), "--crops must be at"),
    option_case("crops_unseen", ("--crops", "9"), "looks at no pictures: leave out --crops 9"),
    option_case("endless_budget", ("--budget", "inf"), "--budget must be", "not inf"),
    option_case("no_budget", ("--budget", "nan"), "--budget must be", "not nan"),
    option_case("huge_side", ("--short-side", "900000"), "--short-side must be in 8..4096"),
    forward_case("dictionary", "return {'out': self.conv(x)}", "forward() returns a dict", "tuple"),
    option_case("unknown_observer", ("--observer", "eye"), "--observer must be one of error"),
    Case("no_calibration", option_case("", ()).make, ("needs --calibration",), ()),
    Case(
        "zoo_misspelt",
        lambda folder: "squeezenet",
        ("no such file or network: 'squeezenet'; the zoo has", "squeezenet1_1", "model.onnx"),
    ),
    Case(
        "zoo_with_pictures",
        lambda folder: "resnet8",
        ("resnet8 brings pictures of its own", "--calibration"),
    ),
    Case(
        "zoo_without_crops",
        lambda folder: "resnet8",
        ("resnet8 has no crops of its pictures",),
        ("--rounding", "compensated", "--crops", "9"),
    ),
)
