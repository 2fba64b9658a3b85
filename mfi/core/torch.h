// The parts of LibTorch that mfi uses.
//
// <torch/torch.h> also brings every layer of torch::nn, the optimisers, the data loader and TorchScript;
// each file that sees it compiles 4 s longer, precompiled or not.
#pragma once

#include <torch/autograd.h>
#include <torch/cuda.h>
#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>
