// What a cell shows: text and images, with limits.

import { send } from './channel.mjs';

const TEXT_LIMIT = 256 << 10;
const ITEMS_LIMIT = 10_000;
const IMAGE_LIMIT = 8 << 20;
const IMAGES_LIMIT = 16 << 20;
/** Items kept that were shown while no cell ran. */
const BETWEEN_LIMIT = 1_000;

const MAGIC = [
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
  ['image/webp', [0x52, 0x49, 0x46, 0x46]],
];

export class Output {
  #cell;
  #text = 0;
  #items = 0;
  #images = 0;
  #between = [];
  truncated = false;

  /** From now on for this cell; what came since the last one goes in front. */
  begin(cell) {
    const waiting = this.#between;
    this.#between = [];
    this.#cell = cell;
    for (const item of waiting) send({ id: cell, item });
  }

  /** Ends the cell; whether something was left out. */
  end() {
    const { truncated } = this;
    this.#cell = undefined;
    this.#text = this.#items = this.#images = 0;
    this.truncated = false;
    return truncated;
  }

  text(channel, text) {
    let bytes = Buffer.from(String(text));
    const room = TEXT_LIMIT - this.#text;
    if (bytes.length > room) {
      this.truncated = true;
      bytes = bytes.subarray(0, room);
      // Not in the middle of a character.
      while (bytes.length > 0 && bytes.length < room + 4 && (bytes.at(-1) & 0xc0) === 0x80) bytes = bytes.subarray(0, -1);
      if (bytes.length > 0 && bytes.at(-1) >= 0xc0) bytes = bytes.subarray(0, -1);
    }
    if (bytes.length === 0) return;
    this.#text += bytes.length;
    this.#add({ type: 'text', channel, text: bytes.toString() });
  }

  image(image) {
    const bytes = typeof image === 'string'
      ? Buffer.from(image.replace(/^data:[^,]*,/, ''), 'base64')
      : Buffer.from(image?.buffer instanceof ArrayBuffer ? new Uint8Array(image.buffer, image.byteOffset, image.byteLength) : image);
    const mime = MAGIC.find(([, magic]) => magic.every((byte, i) => bytes[i] === byte))?.[0];
    if (!mime) throw new TypeError('repl.emitImage takes a PNG, JPEG, GIF or WebP image, as bytes, base64 or data URL');
    if (bytes.length > IMAGE_LIMIT) throw new RangeError(`the image has ${bytes.length} bytes; at most ${IMAGE_LIMIT} can be shown`);
    if (this.#images + bytes.length > IMAGES_LIMIT) {
      this.truncated = true;
      return;
    }
    this.#images += bytes.length;
    this.#add({ type: 'image', mime_type: mime, data_b64: bytes.toString('base64') });
  }

  #add(item) {
    this.#items += 1;
    const isRoom = this.#cell === undefined ? this.#between.length < BETWEEN_LIMIT : this.#items <= ITEMS_LIMIT;
    if (!isRoom) {
      this.truncated = true;
    } else if (this.#cell === undefined) {
      this.#between.push(item);
    } else {
      send({ id: this.#cell, item });
    }
  }
}
