#!/usr/bin/env python3
"""The zoo's networks of images agree with PyTorch: gradients of every parameter, losses, weights and running statistics after several steps, and an entry of inference at the end.
What counts as agreement is said in torch_agreement.py. Dropout is taken out of the programs, and noise becomes an input, for two generators never draw alike.

  test/interop/torch_image_networks.py --bin build/release/bin [--only resnet] [--steps 2]

Skipped, saying so (status 77), where torch, NumPy or safetensors is missing. Exit status 1 if anything disagrees.
"""
from math import cos, pi

from against_torch import Case, F, Scope, ints, long, main, np, real, torch, torch_optimizer


def lenet(w, image):
    s = Scope(w, "lenet")
    x = F.avg_pool2d(torch.tanh(s.conv2d(image, padding=2)), 2)
    x = F.avg_pool2d(torch.tanh(s.conv2d(x)), 2).flatten(1)
    return s.dense(torch.tanh(s.dense(torch.tanh(s.dense(x)))))


def embed(w, image):
    s, x = Scope(w, "embed"), image
    for _ in range(2):
        x = F.max_pool2d(F.prelu(s.conv2d(x, padding=1), s.call("prelu")["slope"]), 2)
    e = s.dense(x.flatten(1))
    return e / torch.sqrt((e * e).sum(1, keepdim=True) + 1e-12)


def siamese(w, anchor, positive, negative):
    a, p, n = (embed(w, x) for x in (anchor, positive, negative))
    return [torch.relu(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 0.5).mean()]


def conv_bn(s, x, stride=1, name="conv_bn"):
    s = s.call(name)
    kernel = s.weights[s.path + ".conv2d.weight"].shape[-1]
    return s.batch_norm(s.conv2d(x, stride=stride, padding=kernel // 2))


def resnet18(w, image):
    s = Scope(w, "resnet18")
    x = F.relu(conv_bn(s, image))
    for stage in range(4):
        for block in range(2):
            b = s.call("basic_block")
            stride = 2 if stage > 0 and block == 0 else 1
            y = conv_bn(b, F.relu(conv_bn(b, x, stride)))
            x = F.relu(y + (conv_bn(b, x, stride, "shortcut") if stride != 1 else x))
    return s.dense(x.mean((2, 3)))


def mobilenet(w, image):
    s = Scope(w, "mobilenet")

    def conv_bn_relu6(s, x, stride=1):
        s = s.call("conv_bn_relu6")
        kernel = s.weights[s.path + ".conv2d.weight"].shape[-1]
        return F.relu6(s.batch_norm(s.conv2d(x, stride=stride, padding=kernel // 2)))
    x = conv_bn_relu6(s, image, 2)
    for stride in [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]:
        b = s.call("separable")
        d = b.call("depthwise_conv2d")
        x = F.relu6(b.batch_norm(F.conv2d(x, d["weight"], stride=stride, padding=1, groups=x.shape[1])))
        x = conv_bn_relu6(b, x)
    return s.dense(x.mean((2, 3)))


def googlenet(w, image):
    s = Scope(w, "googlenet")

    def conv_relu(s, x, stride=1):
        return F.relu(s.call("conv_relu").conv2d_same(x, stride))

    def pool(x):
        return F.max_pool2d(x, 3, 2, 1)

    def inception(x):
        b = s.call("inception")
        a = conv_relu(b, x)
        c = conv_relu(b, conv_relu(b, x))
        d = conv_relu(b, conv_relu(b, x))
        return torch.cat([a, c, d, conv_relu(b, F.max_pool2d(x, 3, 1, 1))], 1)

    def factorized(x):
        b = s.call("inception_factorized")
        a = conv_relu(b, x)
        return torch.cat([a, conv_relu(b, conv_relu(b, conv_relu(b, x)))], 1)
    x = pool(conv_relu(s, image, 2))
    x = pool(conv_relu(s, conv_relu(s, x)))
    x = pool(inception(inception(x)))
    x = pool(factorized(inception(inception(inception(x)))))
    x = inception(inception(x))
    return s.dense(x.mean((2, 3)))


def vgg11(w, image):
    s, x = Scope(w, "vgg11"), image
    for convolutions in [1, 1, 2, 2, 2]:
        b = s.call("vgg_block")
        for _ in range(convolutions):
            x = F.relu(b.conv2d(x, padding=1))
        x = F.max_pool2d(x, 2)
    return s.dense(F.relu(s.dense(F.relu(s.dense(x.flatten(1))))))


def alexnet(w, image):
    s = Scope(w, "alexnet")
    x = F.max_pool2d(F.relu(s.conv2d(image, stride=4, padding=2)), 3, 2)
    x = F.max_pool2d(F.relu(s.conv2d(x, padding=2)), 3, 2)
    for _ in range(3):
        x = F.relu(s.conv2d(x, padding=1))
    x = F.max_pool2d(x, 3, 2).flatten(1)
    return s.dense(F.relu(s.dense(F.relu(s.dense(x)))))


def segment(w, image):
    s = Scope(w, "segment")

    def double(x):
        b = s.call("double_conv")
        for _ in range(2):
            x = F.relu(b.batch_norm(b.conv2d(x, padding=1)))
        return x
    a = double(image)
    b = double(F.max_pool2d(a, 2))
    c = double(F.max_pool2d(b, 2))
    x = double(torch.cat([s.conv2d_transpose(c, stride=2), b], 1))
    x = double(torch.cat([s.conv2d_transpose(x, stride=2), a], 1))
    return s.conv2d(x)


def mean_iou(predicted, actual, classes):
    both = [((predicted == c) & (actual == c)).sum() for c in range(classes)]
    either = [((predicted == c) | (actual == c)).sum() for c in range(classes)]
    return sum(b / e.clamp(min=1) for b, e in zip(both, either)) / sum(e > 0 for e in either)


def detect(w, image):
    s, x = Scope(w, "detect"), image
    for _ in range(3):
        x = F.leaky_relu(s.batch_norm(s.conv2d(x, stride=2, padding=1)), 0.1)
    x = s.conv2d(x)
    return x.reshape(x.shape[0], 3, 9, *x.shape[2:])


def detector(w, image, target):
    y, present = detect(w, image), target[:, :, 0]
    loss = F.binary_cross_entropy_with_logits
    thing = loss(y[:, :, 0], present)
    xy = (torch.sigmoid(y[:, :, 1:3]) - target[:, :, 1:3]) ** 2
    wh = (y[:, :, 3:5] - target[:, :, 3:5]) ** 2
    count = present.sum().clamp(min=1)
    box = ((xy + wh) * present[:, :, None]).sum() / count
    kind = (loss(y[:, :, 5:], target[:, :, 5:], reduction="none") * present[:, :, None]).sum() / count
    return [5 * box + thing + kind, box, thing, kind]


def style(w, content, picture):
    def features(x):
        s = Scope(w, "features")
        a = F.relu(s.conv2d(x, padding=1))
        return a, F.relu(s.conv2d(F.max_pool2d(a, 2), padding=1))

    def gram(x):
        f = x.flatten(2)[0]
        return f @ f.T / f.numel()
    x = w["canvas.pixels"]
    (a, b), (_, content_b), (style_a, style_b) = features(x), features(content), features(picture)
    content_loss = F.mse_loss(b, content_b)
    style_loss = F.mse_loss(gram(a), gram(style_a)) + F.mse_loss(gram(b), gram(style_b))
    variation = x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()
    return [content_loss + 100 * style_loss + 0.1 * variation, content_loss, style_loss]


class ClampedAdam(torch.optim.Adam):
    @torch.no_grad()
    def step(self):
        super().step()
        for group in self.param_groups:
            for w in group["params"]:
                w.clamp_(-1, 1)


def dcgan_generator(w, z):
    s = Scope(w, "dcgan_generator")
    x = F.relu(s.batch_norm(s.dense(z).reshape(z.shape[0], 128, 7, 7)))
    x = F.relu(s.batch_norm(s.conv2d_transpose(x, stride=2, padding=1)))
    return torch.tanh(s.conv2d_transpose(x, stride=2, padding=1))


def dcgan_discriminator(w, image):
    s = Scope(w, "dcgan_discriminator")
    x = F.leaky_relu(s.conv2d(image, stride=2, padding=1), 0.2)
    return s.dense(F.leaky_relu(s.batch_norm(s.conv2d(x, stride=2, padding=1)), 0.2).flatten(1))


def real_or_not(score, target):
    return F.binary_cross_entropy_with_logits(score, torch.full_like(score, target))


def discriminator_step(w, real_images, z):
    fake = dcgan_generator(w, z)
    return [real_or_not(dcgan_discriminator(w, real_images), 1) + real_or_not(dcgan_discriminator(w, fake), 0)]


def generator_step(w, z):
    return [real_or_not(dcgan_discriminator(w, dcgan_generator(w, z)), 1)]


def classifier(model, accuracy=False, **options):
    def losses(w, image, label):
        logits = model(w, image)
        loss = F.cross_entropy(logits, long(label), **options)
        return [loss, (logits.argmax(1) == label).double().mean()] if accuracy else [loss]
    return losses


def segmentation(w, image, mask):
    logits = segment(w, image)
    return [F.cross_entropy(logits, long(mask)), mean_iou(logits.argmax(1), mask, logits.shape[1])]


def cases():
    def case(name, entry, function, model, inputs, optimizer, sets, over=None, **more):
        return Case(f"examples/zoo/{name}.nn", entry, function, inputs, [(0, over, optimizer)], sets=sets, model=model, convolutions=True, **more)

    def images(batch, size, classes=10):
        return dict(image=real(batch, 3, size, size), label=ints(classes, batch))

    def sgd(**options):
        return torch_optimizer("SGD", momentum=0.9, **options)
    # Biases before a batch norm have no gradient but rounding, of which Adam makes whole steps.
    noise = (("dense(128 * 7 * 7)", "dense(128 * 7 * 7, bias = false)"), ("padding = 1) |> batch_norm", "padding = 1, bias = false) |> batch_norm"),
             ("train dcgan_generator_step()", "train dcgan_generator_step(z: f32[batch, noise])"),
             ("train dcgan_discriminator_step(real: f32[batch, 1, 28, 28])", "train dcgan_discriminator_step(real: f32[batch, 1, 28, 28], z: f32[batch, noise])"),
             ("dcgan_generator(normal([batch, noise]))", "dcgan_generator(z)"))
    target = ints(2, 4, 3, 9, 4, 4).astype(np.float32)
    target[:, :, 1:5] = real(4, 3, 4, 4, 4)
    dcgan = torch_optimizer("Adam", lr=0.0002, betas=(0.5, 0.999))
    return {
        "lenet": case("lenet", "fit", classifier(lenet, accuracy=True), ("lenet", lenet), dict(image=real(8, 1, 28, 28), label=ints(10, 8)), sgd(lr=0.05), ("batch=8",)),
        "siamese": case("siamese", "fit", siamese, ("embed", embed), {n: real(4, 1, 28, 28) for n in ("anchor", "positive", "negative")},
                        torch_optimizer("AdamW", lr=0.001, weight_decay=0.01), ("batch=4",)),
        "resnet": case("resnet", "fit", classifier(resnet18, accuracy=True), ("resnet18", resnet18), images(8, 32), sgd(lr=0.1, weight_decay=0.0001),
                       ("size=32", "classes=10", "stem=3", "batch=8"), schedule=lambda s: (1 + cos(pi * s / 10000)) / 2, is_deep=True),
        "finetune": case("resnet", "finetune", classifier(resnet18), None, images(4, 32), torch_optimizer("Adam", lr=0.001),
                         ("size=32", "classes=10", "stem=3", "batch=4"), over="resnet18.dense"),
        "mobilenet": case("mobilenet", "fit", classifier(mobilenet), ("mobilenet", mobilenet), images(4, 64), torch_optimizer("RMSprop", lr=0.045, alpha=0.9),
                          ("size=64", "classes=10", "batch=4"), most_steps=1, is_deep=True),
        "inception": case("inception", "fit", classifier(googlenet, label_smoothing=0.1), ("googlenet", googlenet), images(2, 96), sgd(lr=0.01, nesterov=True),
                          ("size=96", "classes=10", "batch=2"), edits=((" |> dropout(0.4)", ""),), is_deep=True),
        "vgg": case("vgg", "fit", classifier(vgg11), ("vgg11", vgg11), images(4, 32), sgd(lr=0.01), ("size=32", "classes=10", "batch=4"), edits=((" |> dropout", ""),)),
        "alexnet": case("alexnet", "fit", classifier(alexnet), ("alexnet", alexnet), images(2, 67), sgd(lr=0.01, weight_decay=0.0005),
                        ("size=67", "classes=10", "batch=2"), edits=((" |> dropout(0.5)", ""),)),
        "segmentation": case("segmentation", "fit", segmentation, ("segment", segment), dict(image=real(2, 3, 32, 32), mask=ints(5, 2, 32, 32)), torch_optimizer("Adam", lr=0.001),
                            
                             ("size=32", "batch=2"), schedule=lambda s: min(1, (s + 1) / 100), counted=(1,)),
        "detector": case("detector", "fit", detector, ("detect", detect), dict(image=real(4, 3, 32, 32), target=target), torch_optimizer("Adam", lr=0.001), ("size=32", "grid=4")),
        "style": case("style", "paint", style, None, dict(content=real(1, 3, 32, 32, low=0), style=real(1, 3, 32, 32, low=0)), lambda p: ClampedAdam(p, lr=0.02), ("size=32",), over="canvas"),
        "dcgan_d": case("gan", "dcgan_discriminator_step", discriminator_step, ("dcgan_discriminator", dcgan_discriminator), dict(real=real(8, 1, 28, 28), z=real(8, 64)), dcgan,
                        ("batch=8",), over="dcgan_discriminator", edits=noise),
        "dcgan_g": case("gan", "dcgan_generator_step", generator_step, ("dcgan_generator", dcgan_generator), dict(z=real(8, 64)), dcgan,
                        ("batch=8",), over="dcgan_generator", edits=noise),
    }


if __name__ == "__main__":
    main(__doc__, cases())
