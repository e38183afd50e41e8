// A box or polygon that is being drawn over a film, with a pointer or with keys.

class Shape {
  constructor() {
    this.erase();
  }

  erase() {
    Object.assign(this, { mode: null, points: [], closed: false, cross: null });
  }

  begin(mode, middle) {
    Object.assign(this, { mode, points: [], closed: false, cross: middle });
  }

  /** What was drawn before, for this film. */
  show(points) {
    this.erase();
    if (points) Object.assign(this, { points, closed: true });
  }

  get drawing() {
    return this.mode !== null && !this.closed;
  }

  moveCross(dx, dy, columns, rows) {
    const [x, y] = this.cross;
    this.cross = [Math.min(columns, Math.max(0, x + dx)), Math.min(rows, Math.max(0, y + dy))];
    if (this.mode === "box" && this.points.length) this.spanBox(this.cross);
  }

  spanBox([x, y]) {
    const [left, top] = this.points[0];
    this.points = [[left, top], [x, top], [x, y], [left, y]];
  }

  /** A corner where the cross is; true when that completes the shape. */
  corner(near) {
    if (this.mode === "box") {
      if (!this.points.length) {
        this.points = [this.cross];
        return false;
      }
      this.spanBox(this.cross);
      return this.finish();
    }
    const [first] = this.points;
    if (this.points.length >= 3 && Math.hypot(this.cross[0] - first[0], this.cross[1] - first[1]) < near) {
      return this.finish();
    }
    this.points = [...this.points, this.cross];
    return false;
  }

  /** Close the shape; true when it encloses something. */
  finish() {
    const [left, right] = [0, 1].map((axis) => {
      const values = this.points.map((point) => point[axis]);
      return Math.max(...values) - Math.min(...values);
    });
    this.closed = this.points.length >= 3 && left >= 1 && right >= 1;
    return this.closed;
  }
}
