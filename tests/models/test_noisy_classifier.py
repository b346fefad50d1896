"""NoisyClassifier: the contract, its sense of time, and its gradient as guidance uses it."""

import torch
from contract import keeps_contract

from genlab.models.diffusion import DDPM, ClassifierGuidance, DDPMConfig, NoisyClassifier, NoisyClassifierConfig

TINY = NoisyClassifierConfig(image_size=8, widths=(8, 16), patch=1, embedding=16, timesteps=100)


def test_contract(tmp_path):
    torch.manual_seed(0)
    batch = {"image": torch.rand(32, 1, 8, 8).round(), "label": torch.arange(32) % 2}
    keeps_contract(NoisyClassifier(TINY), batch, tmp_path)


def test_law_is_the_cross_entropy_of_noised_pictures():
    """x_t = alpha_t x_0 + sigma_t eps at times over all of 0 .. T; the loss is the mean of -log p(y | x_t, t)."""
    classifier = NoisyClassifier(TINY).eval()
    batch = {"image": torch.rand(2_000, 1, 8, 8), "label": torch.arange(2_000) % 10}
    seen = []
    classifier.register_forward_hook(lambda module, inputs, logits: seen.append((*inputs, logits)))
    loss, _ = classifier.loss(batch)
    ((x_t, t, logits),) = seen
    alpha, sigma = classifier.schedule.at(t)
    noisy = t > 0
    eps = ((x_t - alpha * (2 * batch["image"] - 1)) / sigma)[noisy]
    assert abs(eps.mean()) < 0.02 and abs(eps.std() - 1) < 0.02
    assert t.min() == 0 and t.max() == 100 and abs(t.float().mean() - 50) < 3
    wanted = logits.softmax(1)[range(2_000), batch["label"]]
    assert torch.allclose(loss, -wanted.log().mean(), atol=1e-5)


def test_guidance_is_the_gradient_of_log_p():
    """eps* - eps = -s sigma_t grad log p(y | x_t), against finite differences in float64."""
    classifier = NoisyClassifier(TINY).double().eval()
    denoiser = DDPM(DDPMConfig(image_size=8, widths=(8, 16), patch=1, embedding=16, timesteps=100)).eval()
    x_t, t, label = torch.randn(2, 1, 8, 8), torch.tensor([40, 40]), torch.tensor([3, 7])
    guided = ClassifierGuidance(denoiser, classifier, scale=2.0).noise(x_t, t, label)
    pushed = (denoiser.noise(x_t, t, label) - guided) / (2.0 * denoiser.schedule.sigma[40])

    def log_p(x):
        return classifier(x, t).log_softmax(1).gather(1, label[:, None])[:, 0]

    for place in [(0, 0), (3, 5), (7, 7)]:
        nudge = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
        nudge[:, 0, place[0], place[1]] = 1e-5
        slope = (log_p(x_t + nudge) - log_p(x_t - nudge)) / 2e-5
        assert torch.allclose(pushed[:, 0, place[0], place[1]].double(), slope, atol=1e-4)


def test_pretrained_reads_through_noise(mnist):
    """Nearly all digits when clean, most at half the noise, and guessing when only noise is left."""
    classifier = NoisyClassifier.from_pretrained("noisy-classifier-mnist")
    x_0, label = 2 * (mnist["image"][:500].float() / 255) - 1, mnist["label"][:500]
    right = {}
    for t in (0, 500, 1000):
        alpha, sigma = classifier.schedule.alpha[t], classifier.schedule.sigma[t]
        with torch.no_grad():
            logits = classifier(alpha * x_0 + sigma * torch.randn_like(x_0), torch.full((500,), t))
        right[t] = (logits.argmax(1) == label).float().mean().item()
    assert right[0] > 0.97 and right[500] > 0.85 and right[1000] < 0.2
