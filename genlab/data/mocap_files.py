"""The files that `mocap.load` reads, made from motion as its makers publish it.

    python -m genlab.data.mocap_files FOLDER OUT.npz

FOLDER holds, at any depth, CMU's NN_MM.amc, each beside its NN.asf (http://mocap.cs.cmu.edu), or bvh files: conversions
of CMU's that are named NN_MM.bvh too, or Bandai-Namco's. OUT is named after one of mocap.FILES and belongs into the
folder mocap/ of what GENLAB_DATA names. mocap.training asks for the three of CMU's, and counts a take once that is in
several. What the published weights were trained and measured on:

    cmu_amc        all takes of 01 and 02, asf and amc
    cmu_walk_bvh   bvh of 06_01 07_01-03 07_06 08_01-03 08_06 10_04 12_01-03 16_15 16_16 16_21 16_22 26_01 27_01 29_01
                   32_01-02 38_01-02 39_01-04 43_01 45_01 46_01 47_01 49_01 55_04 113_25 133_21-23 143_32 144_33-34,
                   the first 30 seconds of each, which is most of them; their amc serve as well, and have the whole
                   thorax
    cmu_actions    16 walks, 02_01 06_01 07_01-02 08_02-03 08_08-10 10_04 12_01-03 26_01 27_01 29_01, and 28 clips of
                   other actions whose takes are not known, so that other takes have to stand in for them
    bandai_namco   take 001 of each content in each style, of both sets, and 15 times 002; never trained on
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from genlab.data import mocap
from genlab.data.mocap_asf import read_asf_amc
from genlab.data.mocap_bvh import read_bvh
from genlab.names import DataError, GenlabError

SCALE = np.float32(np.pi / 32767)  # radians; a rotation vector is at most pi long


def write(path: str | Path, clips: Iterable[mocap.Clip]) -> Path:
    """Clips of one set of joints and one rate as the file that `mocap.load` reads; written whole, or not at all.

    Rotations are rounded to steps of SCALE, half of which is 0.003 degrees; all else is kept to the bit. Skeletons that
    are equal are stored once. Raises DataError for no clips, two of one name, clips that cannot share a file, and what
    `mocap.load` would refuse.
    """
    path, clips = Path(path), list(clips)
    if not clips:
        raise DataError(f"there are no clips to write to {path}: give it some")
    first, names = clips[0], set()
    for clip in clips:
        if (clip.joint_names, clip.parents, clip.fps) != (first.joint_names, first.parents, first.fps):
            raise DataError(f"{clip.name} and {first.name} differ in joints or rate: write them to two files")
        if clip.name in names:
            raise DataError(f"there are two clips {clip.name}: leave one of them out")
        names.add(clip.name)
        if not clip.rotations.abs().le(np.pi + SCALE / 2).all():
            raise DataError(f"{clip.name} has a rotation beyond pi, or that is not a number: mend or leave it out")
    offsets = {clip.offsets.numpy().tobytes(): clip.offsets.numpy() for clip in clips}
    frames = np.concatenate([clip.rotations.numpy() for clip in clips])
    arrays = {
        "clip_name": np.array([clip.name for clip in clips]),
        "subject": np.array([clip.subject for clip in clips]),
        "label": np.array([clip.label for clip in clips]),
        "clip_start": np.cumsum([0, *(len(clip.rotations) for clip in clips)]),
        "fps": np.float32(first.fps),
        "joint_names": np.array(first.joint_names),
        "parents": np.array(first.parents, np.int16),
        "skeleton": np.array([list(offsets).index(clip.offsets.numpy().tobytes()) for clip in clips]),
        "offsets": np.stack(list(offsets.values())),
        "rotvec_q": np.rint(frames / SCALE).astype(np.int16),
        "rotvec_scale": SCALE,
        "root_position": np.concatenate([clip.root.numpy() for clip in clips]),
    }
    if problem := mocap.problem(arrays):
        raise DataError(f"these clips make no file of motion: {problem}")
    partial = path.with_name(f".{path.name}")
    try:
        with open(partial, "wb") as file:
            np.savez_compressed(file, **arrays)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(f"{path} could not be written: {error}") from error
    return path


def convert(folder: str | Path, out: str | Path, *, fps: float = 120.0) -> list[mocap.Clip]:
    """All amc and bvh files of a folder and those in it, in the order of their names, written to out.

    fps: of the amc files, which do not say it. Raises DataError for what cannot be read or written; a skeleton that
    mocap.to_smpl does not know; and a name of out that is none of mocap.FILES, as licence and units hang on it.
    """
    folder, out = Path(folder), Path(out)
    if out.suffix != ".npz" or out.stem not in mocap.FILES:
        raise DataError(
            f"{out} must be named {', '.join(f'{file}.npz' for file in mocap.FILES)}: its name says whose it is"
        )
    if not out.absolute().parent.is_dir():
        raise DataError(f"there is no folder {out.parent}: make it first")
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in (".amc", ".bvh")]
    if not paths:
        raise DataError(f"there are no amc or bvh files in {folder}: name the folder that they were unpacked to")
    clips = [_read(path, out.stem, fps) for path in sorted(paths, key=lambda path: (path.name, path))]
    write(out, clips)
    return clips


def _read(path: Path, file: str, fps: float) -> mocap.Clip:
    if path.suffix.lower() == ".bvh":
        clip = read_bvh(path, file=file)
    else:
        asf = path.with_name(f"{path.stem.partition('_')[0]}{'.ASF' if path.suffix.isupper() else '.asf'}")
        if not asf.is_file():
            raise DataError(f"{path} has no skeleton: put {asf.name} beside it")
        clip = read_asf_amc(asf, path, file=file, fps=fps)
    try:
        mocap.to_smpl(replace(clip, rotations=clip.rotations[:1], root=clip.root[:1]))
    except DataError as error:
        raise DataError(f"{path} would be of no use: {error}. Leave it out.") from error
    return clip


def main(argv: list[str] | None = None) -> int:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m genlab.data.mocap_files", description=about, epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT.npz", help=", ".join(mocap.FILES))
    parser.add_argument("--fps", type=float, default=120.0, help="frames a second of amc files (default: %(default)g)")
    arguments = parser.parse_args(argv)
    try:
        clips = convert(arguments.folder, arguments.out, fps=arguments.fps)
    except (GenlabError, OSError) as error:
        print(f"mocap_files: {error}", file=sys.stderr)
        return 1
    frames = sum(len(clip.rotations) for clip in clips)
    print(f"{arguments.out}: {len(clips)} clips, {frames:,} frames. {mocap.FILES[arguments.out.stem].credit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
