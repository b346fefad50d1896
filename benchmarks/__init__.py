"""Speed and quality beside our peers, both sides in one run, as ratios with their spread. `make bench` runs them all.

python -m benchmarks                 everything, about half an hour on two CPU cores
python -m benchmarks sampling        one of startup, stream, sampling, unet
python -m benchmarks unet --seconds 60
"""
