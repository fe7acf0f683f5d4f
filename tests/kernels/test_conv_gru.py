import torch

from kernels.conv_gru.naive import conv_gru_gates


def test_gates_follow_the_equations():
    torch.manual_seed(0)
    gx, gh, h = torch.randn(2, 9, 3, 5), torch.randn(2, 9, 3, 5), torch.randn(2, 3, 3, 5)
    r, z = torch.sigmoid(gx[:, :3] + gh[:, :3]), torch.sigmoid(gx[:, 3:6] + gh[:, 3:6])
    n = torch.tanh(gx[:, 6:] + r * gh[:, 6:])
    torch.testing.assert_close(conv_gru_gates(gx, gh, h), (1 - z) * n + z * h)


def test_gradients():
    gx, gh, h = (torch.randn(1, c, 2, 3, dtype=torch.float64, requires_grad=True) for c in (6, 6, 2))
    assert torch.autograd.gradcheck(conv_gru_gates, (gx, gh, h))
