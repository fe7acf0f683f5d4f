"""Fused operators. One folder an operator; README.md there has the maths, the traffic and what was measured.

naive.py           the equation as it reads, any device, any floating dtype
fused.py           the same signature: CUDA tensors take the Triton programs, all others the naive path
triton_kernels.py  the programs and their launch; imported at the first launch, so importing an operator is light
cases.py           what to benchmark and what to compile without a GPU (kernels/cases.py)
"""
