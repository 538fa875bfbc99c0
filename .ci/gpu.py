"What the GPU here can do, or that there is none that torch can use."

import time
import warnings


def tflops(device, dtype, n: int = 8192, at_least_s: float = 0.5) -> float:
    "TFLOP/s of an n x n matrix product, after a warm-up."
    import torch

    a = torch.randn(n, n, device=device, dtype=dtype)
    b = torch.randn(n, n, device=device, dtype=dtype)
    for _ in range(3):
        a @ b
    torch.cuda.synchronize(device)
    products, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < at_least_s:
        for _ in range(5):
            a @ b
        torch.cuda.synchronize(device)
        products += 5
    return products * 2 * n**3 / seconds / 1e12


def main() -> None:
    import torch

    print(f"torch {torch.__version__}, built for " + (f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU"))
    if torch.version.cuda is None:
        print("no GPU: this torch has no CUDA. Where there is a GPU, make the environment anew with the CUDA build: make reinstall")
        return
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if not available:
        for warning in warned:  # a driver too old for this CUDA, for one
            print(f"torch says: {warning.message}")
        print("no GPU: torch finds no CUDA device here. On a cluster, ask for one first: make gpu-login")
        return
    built_for = torch.cuda.get_arch_list()
    oldest = min(int(arch.removeprefix("sm_").rstrip("af")) for arch in built_for if arch.startswith("sm_"))
    usable = 0
    for i in range(torch.cuda.device_count()):
        device = torch.device("cuda", i)
        about = torch.cuda.get_device_properties(device)
        name = f"cuda:{i} {about.name}, {about.total_memory / 2**30:.1f} GiB, compute capability {about.major}.{about.minor}"
        if about.major * 10 + about.minor < oldest:
            print(f"{name}: too old for this torch, which needs {oldest / 10:.1f} or newer ({' '.join(built_for)})")
            continue
        torch.cuda.set_device(device)
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        print(f"{name}, bf16 {'yes' if bf16 else 'no'}")
        try:
            free, _ = torch.cuda.mem_get_info(device)
            print(
                f"       {free / 2**30:.1f} GiB free, {'bf16' if bf16 else 'fp16'} matrix product "
                f"{tflops(device, torch.bfloat16 if bf16 else torch.float16):.0f} TFLOP/s"
            )
            usable += 1
        except RuntimeError as error:  # out of memory among them
            print(f"       not usable now: {error}")
    if not usable:
        print("no GPU: none of those above can be used")


if __name__ == "__main__":
    main()
