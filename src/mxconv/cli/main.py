"""The console command `mxconv`: its options, and how errors end.

Whatever is wrong with files, parameters or shapes becomes one line on standard error and exit status 2; anything else
that goes wrong is our mistake and keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from .._version import __version__
from ..errors import MXNetError

app = typer.Typer(
    name="mxconv",
    help="MXNet's Convolution and Deconvolution on this CPU: see them work, use them on files, work out shapes.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mxconv {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The options of `mxconv` itself."""


@app.command(short_help="Try both operators on a photograph.")
def demo(
    image: Annotated[str | None, typer.Option(metavar="FILE", help="Your own photograph.")] = None,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where the pictures go.")] = "demo-output",
) -> None:
    """Filter, shrink, enlarge and rebuild a photograph; measure and check each step; write pictures.

    \b
    Example:
      mxconv demo --image holiday.jpg --out pictures
    """
    from .demo import run_demo

    run_demo(image, out)


@app.command(short_help="Run one operator on arrays or pictures.")
def apply(
    op: Annotated[str, typer.Argument(metavar="OP", help="convolution or deconvolution.")],
    data: Annotated[str, typer.Option(metavar="FILE", help=".npy, .npz, .npz:key or a picture.")],
    weight: Annotated[
        str,
        typer.Option(
            metavar="FILE|NAME",
            help="A file, or gaussian:SIGMA, box:N, sobel, laplacian, bilinear:FACTOR.",
        ),
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help=".npy, .npz or a picture (.png, .jpg, ...).")],
    bias: Annotated[str | None, typer.Option(metavar="FILE", help="One number for each output channel.")] = None,
    params: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARAM=VALUE", help="The operator's parameters, as stride=2,2.", show_default=False),
    ] = None,
) -> None:
    """Run one operator on files.

    A picture is float32 (1, channels, height, width) in 0..1, and back it is clipped and rounded. Parameters that
    follow from the weight (kernel, num_filter, num_group, no_bias; for the built-in filters also the pad that keeps
    the size, or bilinear's stride and target_shape) are filled in unless given. An existing output is replaced only
    when everything went well.

    \b
    Examples:
      mxconv apply convolution --data photo.jpg --weight gaussian:3 --out blurred.png
      mxconv apply deconvolution --data photo.jpg --weight bilinear:2 --out twice.png
      mxconv apply convolution --data x.npy --weight w.npz:conv1 --bias b.npy stride=2,2 pad=1,1 --out y.npy
    """
    from .apply import run_apply

    run_apply(op, data=data, weight=weight, bias=bias, params=params or [], out=out)


@app.command("run", short_help="Run a saved network on pictures or arrays.")
def run_network(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="PREFIX-symbol.json and PREFIX-0001.params.")],
    epoch: Annotated[int, typer.Argument(metavar="EPOCH", min=0, help="The number in the second name.")],
    data: Annotated[
        list[str], typer.Option(metavar="FILE", help="A picture, .npy, .npz or .npz:key; one for each input.")
    ],
    input: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Where each --data goes, if there are several inputs.")
    ] = None,
    output: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Any node's output, in place of the network's own.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help=".npz, .npy or a picture; unless given, PREFIX-outputs.npz here.")
    ] = None,
    resize: Annotated[str | None, typer.Option(metavar="H,W", help="The size that is fed in.")] = None,
    mean: Annotated[str | None, typer.Option(metavar="M[,M,M]", help="Is subtracted; one for each channel.")] = None,
    scale: Annotated[str | None, typer.Option(metavar="S[,S,S]", help="Multiplies the rest, as 1/255.")] = None,
    colour: Annotated[str | None, typer.Option(metavar="rgb|bgr|grey", help="The channels that are fed in.")] = None,
    layout: Annotated[str, typer.Option(metavar="NCHW|NHWC", help="Where the network has its channels.")] = "NCHW",
    range: Annotated[
        str | None, typer.Option(metavar="B,W", help="The values of black and white in pictures of outputs.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compute in float16, bfloat16, float32 or float64.")
    ] = None,
    top: Annotated[int | None, typer.Option(metavar="N", min=1, help="Print the N most probable classes.")] = None,
    names: Annotated[str | None, typer.Option(metavar="FILE", help="The classes' names, one a line.")] = None,
) -> None:
    """Run a network that MXNet or mxconv saved as a checkpoint.

    A picture counts from 0 to 255 and is fed in as (picture - mean) * scale, as MXNet's iterators do. Labels are
    filled with zeros. An .npz gets all outputs by name; those that look like pictures are also written as .png beside
    it: what came from a picture goes back through scale and mean, anything else is stretched.

    \b
    Examples:
      mxconv run resnet-50 0 --data cat.jpg --resize 224,224 --top 5 --names synset.txt
      mxconv run unet 12 --data scan.png --colour grey --scale 1/255 --range 0,1 --out mask.png
      mxconv run resnet-50 0 --data x.npy --output stage1_unit1_relu1 --output fc1
    """
    from .prepare import read_preparation, read_range
    from .run import run_checkpoint

    run_checkpoint(
        prefix, epoch, data=data, inputs=input or [], outputs=output or [], out=out,
        preparation=read_preparation(resize, mean, scale, colour, layout), span=read_range(range),
        dtype=dtype, top=top, names=names,
    )  # fmt: skip


@app.command(short_help="The layers of a saved network, and what they cost.")
def summary(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="PREFIX-symbol.json, or any symbol's .json file.")],
    data: Annotated[
        list[str] | None, typer.Option(metavar="[NAME=]SHAPE", help="An input's shape; one for each input.")
    ] = None,
    epoch: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Take the parameters' shapes from PREFIX-000N.params.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Show each layer of a network: shape and memory of its output, parameters, multiply-adds, receptive field.

    The receptive field is counted in samples of the input that the first --data names.

    \b
    Examples:
      mxconv summary resnet-50 --data 1,3,224,224
      mxconv summary model-symbol.json --data left=1,3,64,64 --data right=1,3,64,64 --csv
    """
    from .summary import run_summary

    run_summary(prefix, data=data or [], epoch=epoch, as_json=as_json, as_csv=as_csv)


@app.command(short_help="Work out shapes, both ways.")
def shape(
    op: Annotated[str, typer.Argument(metavar="OP", help="convolution or deconvolution.")],
    data: Annotated[str | None, typer.Option(metavar="N,C,H,W", help="Data's shape: work out the output's.")] = None,
    out: Annotated[str | None, typer.Option(metavar="N,C,H,W", help="The output's shape: work out data's.")] = None,
    params: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARAM=VALUE", help="The operator's parameters, as kernel=3,3.", show_default=False),
    ] = None,
) -> None:
    """Work out shapes, forwards from --data or backwards from --out, and show the arithmetic.

    \b
    Examples:
      mxconv shape convolution --data 1,3,224,224 kernel=7,7 stride=2,2 pad=3,3 num_filter=64
      mxconv shape convolution --out 1,64,112,112 kernel=7,7 stride=2,2 pad=3,3 num_filter=64
      mxconv shape deconvolution --data 1,16,8,8 kernel=4,4 stride=2,2 target_shape=15,16 num_filter=8
    """
    from .shape import run_shape

    run_shape(op, data=data, out=out, params=params or [])


@app.command(short_help="Which algorithm computes a problem here, and why.")
def plan(
    op: Annotated[
        str, typer.Argument(metavar="OP|PROBLEM", help="convolution, deconvolution, or a problem in quotes.")
    ],
    data: Annotated[str | None, typer.Option(metavar="N,C,H,W", help="Data's shape.")] = None,
    dtype: Annotated[str, typer.Option(metavar="NAME", help="The data type of the inputs.")] = "float32",
    measure: Annotated[bool, typer.Option("--measure", help="Time each algorithm that applies.")] = False,
    new_weight: Annotated[
        bool, typer.Option("--new-weight", help="The weight is new in every call, as a NumPy array's may be.")
    ] = False,
    params: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARAM=VALUE", help="The operator's parameters, as kernel=3,3.", show_default=False),
    ] = None,
) -> None:
    """Ask every algorithm about one problem: whether it applies or why not, its time, error, scratch memory, threads.

    A star marks the one that computes it. Estimates are made for two threads. The error is the largest to expect on
    N(0,1) data, in units of the result's standard deviation. The weight is packed once, for all calls.

    \b
    Examples:
      mxconv plan convolution --data 1,64,56,56 kernel=3,3 pad=1,1 num_filter=64
      mxconv plan deconvolution --data 1,16,8,8 kernel=4,4 stride=2,2 num_filter=8 workspace=0
      mxconv plan "backward_weight float32 n8 g1 c64->64 i56x56 k3x3 p1x1"
    """
    from .plan import run_plan

    run_plan(op, data=data, dtype=dtype, params=params or [], measure=measure, new_weight=new_weight)


@app.command(short_help="Find the fastest algorithms for problems or a network, and remember them.")
def tune(
    problems: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|PROBLEM", help="A file of problems, or a problem in quotes.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        tuple[str, int] | None, typer.Option(metavar="PREFIX EPOCH", help="The convolutions of a saved network.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="SHAPE", help="The network's data, as 1,3,224,224; one for each input.")
    ] = None,
    input: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Where each --data goes.")] = None,
    training: Annotated[bool, typer.Option("--training", help="Each problem's gradients as well.")] = False,
    new_weights: Annotated[bool, typer.Option("--new-weights", help="For weights that are new in every call.")] = False,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds of about 0.05 s.")] = 5,
    again: Annotated[bool, typer.Option("--again", help="Measure what is known, too.")] = False,
    show: Annotated[str | None, typer.Option(metavar="TEXT", help="Show the classes with TEXT in them.")] = None,
    save: Annotated[str | None, typer.Option(metavar="FILE", help="Write what --show shows as JSON.")] = None,
    forget: Annotated[str | None, typer.Option(metavar="TEXT", help="Forget the classes with TEXT in them.")] = None,
) -> None:
    """Measure the algorithms that may be the fastest for each problem; calls with similar shapes then use the winner.

    What is known already is not measured, so that a run that was stopped goes on where it was. Results are kept in the
    cache folder, for this CPU and this version.

    \b
    Examples:
      mxconv tune "forward float32 n1 g1 c64->64 i56x56 k3x3 p1x1"
      mxconv tune benchmarks/suites/core.txt
      mxconv tune --checkpoint resnet-50 0 --data 1,3,224,224
      mxconv tune --show ""
    """
    from pathlib import Path

    from .tune import run_forget, run_save, run_show, run_tune

    if forget is not None:
        run_forget(forget)
    elif save is not None:
        run_save(show or "", Path(save))
    elif show is not None:
        run_show(show)
    else:
        run_tune(
            problems or [], checkpoint=checkpoint, data=data or [], inputs=input or [], training=training,
            new_weights=new_weights, rounds=rounds, again=again,
        )  # fmt: skip


@app.command(short_help="Time problems on this machine.")
def bench(
    problems: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROBLEM", help="A problem as one word, in quotes.", show_default=False),
    ] = None,
    suite: Annotated[str | None, typer.Option(metavar="FILE", help="A file of problems, NAME: PROBLEM each.")] = None,
    only: Annotated[str | None, typer.Option(metavar="PATTERN", help="Names to take, as 'r50_*'.")] = None,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds of about 0.05 s.")] = 9,
    threads: Annotated[int | None, typer.Option(metavar="N", min=1, help="Threads of one call.")] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Write the numbers as JSON.")] = None,
) -> None:
    """Time the engine on problems in its own notation, or on a few well-known layers.

    \b
    Examples:
      mxconv bench
      mxconv bench "forward float32 n1 g1 c64->128 i56x56 k3x3 s2x2 p1x1" --threads 1
      mxconv bench --suite benchmarks/suites/core.txt --only 'r50_*' --out r50.json
    """
    from .bench import run_bench

    run_bench(problems or [], suite=suite, only=only, rounds=rounds, threads=threads, out=out)


@app.command("config", short_help="Show every setting and its value.")
def show_config() -> None:
    """Show every setting, its value now and where that comes from.

    \b
    Example:
      MXCONV_NUM_THREADS=1 mxconv config
    """
    from .knobs import run_config

    run_config()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` unless given) and return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        status = app(args=words, prog_name="mxconv", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except MXNetError as error:
        return _fail(str(error))
    except (typer.Abort, KeyboardInterrupt):
        return _fail("stopped", status=130)
    except OSError as error:
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    except MemoryError as error:
        return _fail(f"out of memory: {error}")
    except Exception as error:
        explain = getattr(error, "format_message", None)  # click's or typer's own usage errors, whichever is installed
        if explain is None:
            raise
        return _fail(f"{explain()} See mxconv --help.")


def _fail(message: str, status: int = 2) -> int:
    sys.stderr.write(f"mxconv: {' '.join(message.split())}\n")
    return status
